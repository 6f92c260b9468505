//! LJSpeech's `id|text|normalised text`, without quoting or header, as Coqui TTS and its many relatives read it: the audio is
//! `<root>/wavs/<id>.wav`.
//!
//! The id written here is the absolute path without `.wav`. Python's `os.path.join`, by which those readers build the path, then
//! yields that very path, so the files need not be moved into a flat `wavs` directory.

use super::{Output, Writer};
use crate::row::Row;
use std::io::{self, Write};
use std::path::Path;

pub(super) struct LjSpeech(Output);

impl LjSpeech {
    pub(super) fn create(directory: &Path) -> io::Result<Self> {
        Output::create(directory, "metadata_ljspeech.csv").map(Self)
    }
}

impl Writer for LjSpeech {
    fn row(&mut self, row: &Row, path: &str) -> io::Result<bool> {
        let (Some(id), Some(transcript)) = (path.strip_suffix(".wav"), &row.transcript) else { return Ok(false) };
        if id.contains(['|', '\n', '\r']) || transcript.text().is_empty() {
            return Ok(false);
        }
        let original = field(transcript.original.as_deref().unwrap_or(transcript.text()));
        writeln!(self.0.file, "{id}|{original}|{}", field(transcript.text()))?;
        Ok(true)
    }

    fn finish(self: Box<Self>) -> io::Result<Vec<Output>> {
        Ok(vec![self.0])
    }
}

/// The format has no way to write its separator or a line's end.
fn field(text: &str) -> String {
    text.replace('|', " ").split_whitespace().collect::<Vec<_>>().join(" ")
}
