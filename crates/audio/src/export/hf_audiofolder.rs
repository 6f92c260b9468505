//! The `metadata.csv` of Hugging Face `datasets`' audiofolder: `file_name` relative to the file itself, `transcription`, and
//! further columns that become features.
//!
//! `datasets` infers the types of those: numbers of speakers become integers, empty where unknown.

use super::{Output, Writer, text};
use crate::row::Row;
use std::io;
use std::path::Path;

pub(super) struct HfAudiofolder {
    csv: csv::Writer<Vec<u8>>,
    output: Output,
}

/// Bytes of CSV held before they are written.
const BUFFER: usize = 1 << 16;

impl HfAudiofolder {
    pub(super) fn create(directory: &Path) -> io::Result<Self> {
        let output = Output::create(directory, "metadata.csv")?;
        let mut csv = csv::Writer::from_writer(Vec::new());
        csv.write_record(["file_name", "transcription", "speaker_id", "duration"])?;
        Ok(Self { csv, output })
    }

    fn drain(&mut self) -> io::Result<()> {
        self.csv.flush()?;
        let full = std::mem::replace(&mut self.csv, csv::Writer::from_writer(Vec::new()));
        let bytes = full.into_inner().map_err(|error| io::Error::other(error.to_string()))?;
        io::Write::write_all(&mut self.output.file, &bytes)
    }
}

impl Writer for HfAudiofolder {
    fn row(&mut self, row: &Row, _path: &str) -> io::Result<bool> {
        let Some(duration) = row.facts.as_ref().and_then(|facts| facts.duration_s) else { return Ok(false) };
        let speaker = row.utterance.as_ref().map_or("", |utterance| &utterance.speaker);
        self.csv.write_record([&row.path, &text(row).unwrap_or_default(), speaker, &duration.to_string()])?;
        if self.csv.get_ref().len() > BUFFER {
            self.drain()?;
        }
        Ok(true)
    }

    fn finish(mut self: Box<Self>) -> io::Result<Vec<Output>> {
        self.drain()?;
        Ok(vec![self.output])
    }
}
