//! NVIDIA NeMo's manifest, as `nemo/collections/common/parts/preprocessing/manifest.py` reads it: JSON Lines with
//! `audio_filepath`, `duration` and `text` (normalised where there is such a form), and a numeric `speaker` as its speech synthesis
//! wants it.

use super::{Output, Writer, text};
use crate::row::Row;
use serde::Serialize;
use std::io::{self, Write};
use std::path::Path;

pub(super) struct Nemo(Output);

#[derive(Serialize)]
struct Entry<'a> {
    audio_filepath: &'a str,
    duration: f64,
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    speaker: Option<u64>,
}

impl Nemo {
    pub(super) fn create(directory: &Path) -> io::Result<Self> {
        Output::create(directory, "nemo.jsonl").map(Self)
    }
}

impl Writer for Nemo {
    fn row(&mut self, row: &Row, path: &str) -> io::Result<bool> {
        let Some(duration) = row.facts.as_ref().and_then(|facts| facts.duration_s) else { return Ok(false) };
        let speaker = row.utterance.as_ref().and_then(|utterance| utterance.speaker.parse().ok());
        // The reader wants a text; a file without one is still of use to what does not train on text.
        let entry = Entry { audio_filepath: path, duration, text: text(row).unwrap_or_default(), speaker };
        serde_json::to_writer(&mut self.0.file, &entry)?;
        self.0.file.write_all(b"\n")?;
        Ok(true)
    }

    fn finish(self: Box<Self>) -> io::Result<Vec<Output>> {
        Ok(vec![self.0])
    }
}
