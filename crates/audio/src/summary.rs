//! What a scan found, in numbers and bounded lists.

use crate::duplicates::Groups;
use crate::export::Exported;
use crate::libritts::Level;
use crate::options::Tier;
use serde::Serialize;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Entries of a list in the summary; the count beside it is always complete.
pub const MAX_LISTED: usize = 100;

/// Speakers in the summary, LibriTTS has 2,456.
pub const MAX_SPEAKERS: usize = 5_000;

/// Different values that a histogram tells apart.
pub const MAX_BINS: usize = 256;

/// Upper bounds of the bins of [`Summary::durations`], in seconds; one more bin holds what is longer.
pub const DURATION_BOUNDS_S: &[f64] = &[0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 15.0, 20.0, 30.0, 60.0, 600.0];

/// What a scan found.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Summary {
    /// Whether the scan ended early; then everything below describes only what was reached.
    pub is_partial: bool,
    /// How thoroughly files were looked at.
    pub tier: Tier,
    /// Everything with an audio file's name; the sum of `ok`, `warnings` and `errors`.
    pub files: u64,
    /// Files with no issue.
    pub ok: u64,
    /// Files that can be used, with something to know.
    pub warnings: u64,
    /// Files that cannot be used as they stand.
    pub errors: u64,
    /// Files by issue code; a file with two issues counts under both.
    pub issues: BTreeMap<&'static str, u64>,
    /// Hours of audio that are there.
    pub hours: f64,
    /// Bytes of all files.
    pub bytes: u64,
    /// Where in a LibriTTS tree the scanned directory stands.
    pub layout: Option<Layout>,
    /// Who speaks.
    pub speakers: Speakers,
    /// Files by container and codec, as `riff/pcm_s16`.
    pub formats: Histogram<String>,
    /// Files by frames per second.
    pub sample_rates: Histogram<u32>,
    /// Files by number of channels.
    pub channels: Histogram<u16>,
    /// Files by duration.
    pub durations: Vec<DurationBin>,
    /// Files with the same bytes.
    pub duplicates: Groups,
    /// Files with the same audio behind different headers.
    pub audio_duplicates: Groups,
    /// Audio without text and text without audio.
    pub orphans: Orphans,
    /// Directories that could not be read.
    pub faults: Listed<Fault>,
    /// Rows taken over from an earlier manifest, because the file had not changed.
    pub reused: u64,
    /// Files of the earlier manifest that are gone.
    pub removed: Listed<String>,
    /// What was written for other tools.
    pub exports: Vec<Exported>,
    /// How long the scan took.
    pub seconds: f64,
    /// `files` by `seconds`.
    pub files_per_second: f64,
}

/// The LibriTTS layout as far as it was recognised.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Layout {
    /// The level that most files speak for.
    pub level: Level,
    /// Files with a LibriTTS name.
    pub recognised: u64,
    /// Files whose directories contradict their names.
    pub misplaced: u64,
}

/// Speakers by the amount of audio that can be used.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Speakers {
    /// How many there are, up to [`MAX_SPEAKERS`].
    pub count: u64,
    /// Files of speakers beyond [`MAX_SPEAKERS`].
    pub files_of_unlisted: u64,
    /// The speakers by number.
    pub listed: Vec<Speaker>,
}

/// One speaker.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Speaker {
    /// Number in the data set.
    pub id: String,
    /// `F` or `M`.
    pub gender: Option<Cow<'static, str>>,
    /// The name, as the data set's table has it.
    pub name: Option<String>,
    /// Files without errors.
    pub files: u64,
    /// Minutes of audio in them.
    pub minutes: f64,
    /// Minutes according to the data set's table.
    pub stated_minutes: Option<f64>,
}

/// A list of bounded length with the true count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listed<T> {
    /// How many there are.
    pub count: u64,
    /// The first [`MAX_LISTED`].
    pub listed: Vec<T>,
}

impl<T> Default for Listed<T> {
    fn default() -> Self {
        Self { count: 0, listed: Vec::new() }
    }
}

impl<T> Listed<T> {
    pub(crate) fn add(&mut self, item: T) {
        self.count += 1;
        if self.listed.len() < MAX_LISTED {
            self.listed.push(item);
        }
    }
}

/// Files by value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Histogram<K: Ord> {
    /// How many files have the value.
    pub counts: BTreeMap<K, u64>,
    /// Files with values beyond the first [`MAX_BINS`].
    pub other: u64,
}

impl<K: Ord> Default for Histogram<K> {
    fn default() -> Self {
        Self { counts: BTreeMap::new(), other: 0 }
    }
}

impl<K: Ord> Histogram<K> {
    pub(crate) fn add(&mut self, value: K) {
        if let Some(count) = self.counts.get_mut(&value) {
            *count += 1;
        } else if self.counts.len() < MAX_BINS {
            self.counts.insert(value, 1);
        } else {
            self.other += 1;
        }
    }
}

/// Files up to a duration.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DurationBin {
    /// The upper bound in seconds, exclusive; `None` for what is longer than the last bound.
    pub below_s: Option<f64>,
    /// How many files.
    pub files: u64,
}

/// Audio without text and text without audio.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Orphans {
    /// Files in a directory with transcripts that have none. Not looked for in the quick tier.
    pub audio_without_text: Listed<String>,
    /// Transcripts beside no file: their paths without ending.
    pub text_without_audio: Listed<String>,
    /// Rows of a chapter's table without a file: `directory/id`. Not looked for in the quick tier.
    pub table_row_without_audio: Listed<String>,
}

/// A directory that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// Which.
    pub path: String,
    /// `directory_unreadable`, `directory_vanished` or `too_deep`.
    pub code: &'static str,
}
