//! One line of the manifest: everything that is known about one file.

use crate::issue::{Code, Issue, Severity};
use crate::options::Tier;
use crate::riff::Codec;
use crate::signal::Signal;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// Everything that is known about one file. Serialised as one line of JSON; absent knowledge is an absent field.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Path relative to the scanned directory, `/`-separated. Where `path_escaped` is set, see [`crate::path`].
    pub path: String,
    /// Whether `path` is not the name itself but its escaped form.
    #[serde(default, skip_serializing_if = "is_false")]
    pub path_escaped: bool,
    /// The worst severity among `issues`.
    pub status: Status,
    /// How thoroughly the file was looked at.
    pub tier: Tier,
    /// Size in bytes.
    pub bytes: u64,
    /// Time of the last change, in nanoseconds since 1970.
    pub mtime_ns: i64,
    /// Inode number.
    pub inode: u64,
    /// Fingerprint of the size and time of the transcripts beside the file, by which a rescan sees that they changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text_stamp: Option<u64>,
    /// What the header says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facts: Option<Facts>,
    /// Speaker and chapter, for names of the LibriTTS form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub utterance: Option<Utterance>,
    /// SHA-256 of the whole file, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// SHA-256 of the audio data alone: equal for the same audio behind different headers. WAV only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audio_sha256: Option<String>,
    /// Path of the first file in the manifest with the same bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duplicate_of: Option<String>,
    /// Path of the first file in the manifest with the same audio behind another header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audio_duplicate_of: Option<String>,
    /// What is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transcript: Option<Transcript>,
    /// How it sounds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<Signal>,
    /// What is wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub issues: Vec<Issue>,
}

/// The worst that can be said of a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// No issues.
    #[default]
    Ok,
    /// Usable, with something to know.
    Warning,
    /// Not usable as it stands.
    Error,
}

/// What the header of the file says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// `riff`, `rf64`, `bw64`, `flac`, `ogg`, `mp3`, `mp4`, `aiff` or `adts`.
    pub container: Cow<'static, str>,
    /// How samples are coded.
    pub codec: Codec,
    /// The WAV format tag, where `codec` is `other`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format_tag: Option<u16>,
    /// Frames per second.
    pub sample_rate: u32,
    /// Samples per frame.
    pub channels: u16,
    /// Bits per sample, where the codec has such a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bit_depth: Option<u16>,
    /// Frames that the header promises.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declared_frames: Option<u64>,
    /// Whole frames that are there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actual_frames: Option<u64>,
    /// Seconds of audio that are there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_s: Option<f64>,
    /// Where the audio starts in the file. WAV only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_offset: Option<u64>,
    /// Bytes of audio that are there. WAV only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_bytes: Option<u64>,
}

/// Who speaks, read from a LibriTTS name `<speaker>_<chapter>_<paragraph>_<utterance>` and the data set's tables.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Utterance {
    /// The file's name without extension.
    pub id: String,
    /// Number of the speaker.
    pub speaker: String,
    /// Number of the chapter.
    pub chapter: String,
    /// `F` or `M`, from the speakers' table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gender: Option<Cow<'static, str>>,
    /// The part of the data set, from the path or the speakers' table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subset: Option<Cow<'static, str>>,
    /// Signal-to-noise ratio as the data set's `.book.tsv` states it, in dB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stated_snr_db: Option<f64>,
}

/// What is said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transcript {
    /// The text as printed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original: Option<String>,
    /// The text as spoken (numbers and abbreviations in words).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub normalized: Option<String>,
    /// Where it was found; a side-car goes before the table.
    pub source: Source,
}

impl Transcript {
    /// The text to train on: normalised where there is such a form.
    #[must_use]
    pub fn text(&self) -> &str {
        self.normalized.as_deref().or(self.original.as_deref()).unwrap_or_default()
    }
}

/// Where a transcript was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// `<name>.normalized.txt` or `<name>.original.txt` beside the file.
    Sidecar,
    /// The chapter's `.trans.tsv`.
    Table,
}

impl Row {
    /// Notes an issue, unless one of its kind is there already.
    pub(crate) fn note(&mut self, issue: Issue) {
        if self.has(issue.code) {
            return;
        }
        self.status = self.status.max(match issue.severity {
            Severity::Warning => Status::Warning,
            Severity::Error => Status::Error,
        });
        self.issues.push(issue);
    }

    /// Whether the file has an issue of this kind.
    #[must_use]
    pub fn has(&self, code: Code) -> bool {
        self.issues.iter().any(|issue| issue.code == code)
    }

    /// Whether there is audio in it that can be used.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.status != Status::Error && self.facts.as_ref().is_some_and(|facts| facts.actual_frames != Some(0))
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde calls")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}
