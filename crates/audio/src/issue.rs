//! What can be wrong with a file, as stable codes.

use serde::{Deserialize, Serialize};

/// How bad an [`Issue`] is for whoever trains on the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The audio can be used; something about it should be known.
    Warning,
    /// The audio cannot be used as it stands.
    Error,
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal, $severity:ident;)+) => {
        /// The kind of an [`Issue`]. The `snake_case` text is part of the manifest's format and never changes meaning.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        #[non_exhaustive]
        pub enum Code {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Code {
            /// Every code there is, in the order of their declaration.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The code as it is written in manifests and summaries.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }

            /// How bad a file with this issue is.
            #[must_use]
            pub const fn severity(self) -> Severity {
                match self { $(Self::$name => Severity::$severity,)+ }
            }
        }
    };
}

codes! {
    /// The file holds no bytes.
    Empty = "empty", Error;
    /// The file is shorter than the smallest header of its container.
    TooShort = "too_short", Error;
    /// Named like a WAV file, but neither RIFF nor anything else that is recognised.
    NotWav = "not_wav", Error;
    /// Named like another audio format, but nothing that is recognised.
    NotAudio = "not_audio", Error;
    /// Named like a WAV file, but the bytes are MPEG audio.
    IsMp3 = "is_mp3", Error;
    /// The bytes are another known format than the name says; it is read as what it is.
    ExtensionMismatch = "extension_mismatch", Warning;
    /// A macOS AppleDouble companion (`._name.wav`), which holds no audio.
    AppledoubleSkipped = "appledouble_skipped", Warning;
    /// The header contradicts itself so far that no audio can be located (rate 0, channels 0, no `fmt ` chunk).
    InvalidHeader = "invalid_header", Error;
    /// Fields of the header contradict each other, but the audio can be located.
    HeaderInconsistent = "header_inconsistent", Warning;
    /// A container that is recognised but not read (RIFX, Wave64, Opus in Ogg).
    UnsupportedContainer = "unsupported_container", Error;
    /// The codec is known or unknown, but its samples are not decoded here: facts only, no signal metrics.
    CodecNotAnalysed = "codec_not_analysed", Warning;
    /// The header promises more audio than the file holds.
    Truncated = "truncated", Error;
    /// Written to a pipe: the header's size is a place-holder, the file's length was used.
    SizeUnknown = "size_unknown", Warning;
    /// The header says that there is no audio, but audio follows; most readers silently see nothing.
    DataSizeZero = "data_size_zero", Warning;
    /// A sound header with no audio behind it.
    ZeroLength = "zero_length", Error;
    /// The audio ends in the middle of a frame; the rest of that frame is ignored.
    PartialFrame = "partial_frame", Warning;
    /// Nothing louder than -60 dBFS.
    Silent = "silent", Warning;
    /// A noticeable part of the samples stands at full scale.
    Clipped = "clipped", Warning;
    /// Some samples are no numbers (NaN or infinite floats); they were taken as 0.
    NotFinite = "not_finite", Warning;
    /// The decoder refused some of the stream.
    DecodeFailed = "decode_failed", Error;
    /// The decoder crashed on this file; the crash was contained.
    DecoderPanicked = "decoder_panicked", Error;
    /// Signal metrics cover only the first part of the file, up to a fixed limit.
    AnalysisLimited = "analysis_limited", Warning;
    /// The file may not be read by this process, or reading it failed.
    Unreadable = "unreadable", Error;
    /// The file was there when the directory was read and gone when it was opened.
    Vanished = "vanished", Error;
    /// A directory, FIFO, socket or device with an audio file's name.
    NotARegularFile = "not_a_regular_file", Error;
    /// A symbolic link with an audio file's name: links are not followed.
    SymlinkSkipped = "symlink_skipped", Warning;
    /// A symbolic link with an audio file's name that leads nowhere or to itself.
    SymlinkBroken = "symlink_broken", Warning;
    /// The name is not UTF-8; it is written with `\xNN` escapes.
    NameNotUtf8 = "name_not_utf8", Warning;
    /// The data set has transcripts, but none for this file.
    TranscriptMissing = "transcript_missing", Warning;
    /// The side-car file and the chapter's table disagree about the words.
    TranscriptMismatch = "transcript_mismatch", Warning;
    /// The transcript is there but cannot be read as UTF-8 text of a sensible size.
    TranscriptUnreadable = "transcript_unreadable", Warning;
}

/// One thing that is wrong with one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issue {
    /// What is wrong.
    pub code: Code,
    /// How bad it is; always `code.severity()`.
    pub severity: Severity,
    /// What exactly was found, for a person; no stable wording.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

impl Issue {
    /// An issue whose code says everything.
    #[must_use]
    pub const fn new(code: Code) -> Self {
        Self { code, severity: code.severity(), detail: String::new() }
    }

    /// An issue with the numbers behind it.
    #[must_use]
    pub fn with(code: Code, detail: impl Into<String>) -> Self {
        Self { code, severity: code.severity(), detail: detail.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::Code;

    #[test]
    fn text_of_a_code_is_what_serde_writes() {
        for code in Code::ALL {
            assert_eq!(serde_json::to_string(code).expect("serialise"), format!("\"{}\"", code.as_str()));
        }
    }
}
