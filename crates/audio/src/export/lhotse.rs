//! Lhotse's recordings and supervisions (`RecordingSet`, `SupervisionSet`), gzipped JSON Lines, with the fields that
//! `lhotse prepare libritts` writes.
//!
//! Ids are unique within a manifest or lhotse refuses it: a LibriTTS name serves as id where the directories agree with it and it
//! is new, the relative path otherwise.

use super::{Output, Writer, text};
use crate::row::Row;
use crate::stamp::Stamp;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Serialize;
use std::collections::HashSet;
use std::io::{self, Write};
use std::path::Path;

/// Names remembered to tell whether one is new; files beyond are known by their path. 16 bytes of memory each.
pub(crate) const MAX_NAMES: usize = 4_000_000;

pub(super) struct Lhotse {
    recordings: GzEncoder<Vec<u8>>,
    supervisions: GzEncoder<Vec<u8>>,
    outputs: [Output; 2],
    names: HashSet<u64>,
}

#[derive(Serialize)]
struct Recording<'a> {
    id: &'a str,
    sources: [Source<'a>; 1],
    sampling_rate: u32,
    num_samples: u64,
    duration: f64,
    channel_ids: &'a [u16],
}

#[derive(Serialize)]
struct Source<'a> {
    r#type: &'static str,
    channels: &'a [u16],
    source: &'a str,
}

#[derive(Serialize)]
struct Supervision<'a> {
    id: &'a str,
    recording_id: &'a str,
    start: f64,
    duration: f64,
    channel: Channel<'a>,
    text: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    language: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    speaker: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gender: Option<&'a str>,
    custom: Custom<'a>,
}

/// One number for mono, all of them otherwise.
#[derive(Serialize)]
#[serde(untagged)]
enum Channel<'a> {
    One(u16),
    All(&'a [u16]),
}

#[derive(Serialize)]
struct Custom<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    orig_text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    snr: Option<f64>,
}

impl Lhotse {
    pub(super) fn create(directory: &Path) -> io::Result<Self> {
        let encoder = || GzEncoder::new(Vec::new(), Compression::default());
        Ok(Self {
            recordings: encoder(),
            supervisions: encoder(),
            outputs: [
                Output::create(directory, "recordings.jsonl.gz")?,
                Output::create(directory, "supervisions.jsonl.gz")?,
            ],
            names: HashSet::new(),
        })
    }

    /// The LibriTTS name if it can serve as id.
    fn name<'a>(&mut self, row: &'a Row) -> &'a str {
        let Some(utterance) =
            row.utterance.as_ref().filter(|utterance| crate::libritts::level(&row.path, utterance).is_some())
        else {
            return &row.path;
        };
        let key = Stamp::new().bytes(utterance.id.as_bytes()).full();
        let is_new = self.names.len() < MAX_NAMES && self.names.insert(key);
        if is_new { &utterance.id } else { &row.path }
    }

    /// Moves what is compressed so far into the files.
    fn drain(&mut self) -> io::Result<()> {
        for (encoder, output) in [&mut self.recordings, &mut self.supervisions].into_iter().zip(&mut self.outputs) {
            output.file.write_all(encoder.get_ref())?;
            encoder.get_mut().clear();
        }
        Ok(())
    }
}

impl Writer for Lhotse {
    fn row(&mut self, row: &Row, path: &str) -> io::Result<bool> {
        let Some((facts, num_samples)) = row.facts.as_ref().and_then(|facts| Some((facts, facts.actual_frames?)))
        else {
            return Ok(false);
        };
        let channels: Vec<u16> = (0..facts.channels).collect();
        let duration = num_samples as f64 / f64::from(facts.sample_rate);
        let id = self.name(row);
        let recording = Recording {
            id,
            sources: [Source { r#type: "file", channels: &channels, source: path }],
            sampling_rate: facts.sample_rate,
            num_samples,
            duration,
            channel_ids: &channels,
        };
        line(&mut self.recordings, &recording)?;
        if let (Some(text), Some(transcript)) = (text(row), &row.transcript) {
            let utterance = row.utterance.as_ref();
            let supervision = Supervision {
                id,
                recording_id: id,
                start: 0.0,
                duration,
                channel: if facts.channels == 1 { Channel::One(0) } else { Channel::All(&channels) },
                text: &text,
                // All of LibriTTS is English; of other texts the language is not known.
                language: utterance.map(|_| "English"),
                speaker: utterance.map(|utterance| utterance.speaker.as_str()),
                gender: utterance.and_then(|utterance| utterance.gender.as_deref()),
                custom: Custom {
                    orig_text: transcript.original.as_deref(),
                    snr: utterance.and_then(|utterance| utterance.stated_snr_db),
                },
            };
            line(&mut self.supervisions, &supervision)?;
        }
        self.drain()?;
        Ok(true)
    }

    fn finish(mut self: Box<Self>) -> io::Result<Vec<Output>> {
        self.recordings.try_finish()?;
        self.supervisions.try_finish()?;
        self.drain()?;
        Ok(self.outputs.into())
    }
}

fn line(out: &mut impl Write, entry: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, entry)?;
    out.write_all(b"\n")
}
