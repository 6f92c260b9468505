//! What a scan is asked for.

use serde::{Deserialize, Serialize};
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// How thoroughly files are looked at; each tier contains the ones before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// Size, times and header: one read of 4 KiB per file.
    Quick,
    /// Also the SHA-256 of the file and of its audio, and the transcripts: the whole file is read once.
    #[default]
    Standard,
    /// Also what the audio sounds like: the whole file is decoded in the same pass.
    Full,
}

/// A format of another tool that the result is written in as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Export {
    /// NVIDIA NeMo: `nemo.jsonl`.
    #[serde(rename = "nemo")]
    NeMo,
    /// Lhotse: `recordings.jsonl.gz` and `supervisions.jsonl.gz`.
    Lhotse,
    /// Hugging Face `datasets` audiofolder: `metadata.csv`, to be put into the scanned directory.
    HfAudiofolder,
    /// LJSpeech (Coqui and many others): `metadata_ljspeech.csv` with `id|text|normalised text`.
    LjSpeech,
}

/// The exports wanted, and where they go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exports {
    /// Which formats.
    pub formats: Vec<Export>,
    /// An existing directory to write them into.
    pub directory: PathBuf,
}

/// What a scan is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// How thoroughly to look.
    pub tier: Tier,
    /// Threads that read and measure; one more walks the directories.
    pub threads: NonZeroUsize,
    /// Where the manifest goes (JSON Lines of [`crate::Row`]). Until it is complete it is called `<manifest>.partial`, from which an
    /// interrupted scan continues.
    pub manifest: PathBuf,
    /// The manifest of an earlier scan of the same directory, whose rows are kept for files that did not change. May be the
    /// same path as `manifest`; need not exist.
    pub previous: Option<PathBuf>,
    /// A directory above the scanned one up to which the data set's speaker tables are looked for. `None` looks into the scanned
    /// directory only.
    pub tables_below: Option<PathBuf>,
    /// Formats of other tools to write at the end.
    pub exports: Option<Exports>,
}

impl Options {
    /// A standard scan on one thread, without history and exports.
    #[must_use]
    pub fn new(manifest: impl Into<PathBuf>) -> Self {
        Self {
            tier: Tier::default(),
            threads: NonZeroUsize::MIN,
            manifest: manifest.into(),
            previous: None,
            tables_below: None,
            exports: None,
        }
    }
}

/// How the caller watches and stops a scan. Called from several threads.
pub trait Control: Sync {
    /// `current` of `total` files are done. `current` never falls; `total` may grow while files are being added.
    fn progress(&self, current: u64, total: u64);

    /// Asked before every file and every 256 KiB of audio; `true` ends the scan.
    fn cancelled(&self) -> bool;
}

/// Nobody watches, nobody stops.
impl Control for () {
    fn progress(&self, _current: u64, _total: u64) {}

    fn cancelled(&self) -> bool {
        false
    }
}
