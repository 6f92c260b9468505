//! What a file is, by its name and by its first bytes.

/// File name extensions, lower case, that make a file count as audio.
pub(crate) const AUDIO_EXTENSIONS: &[&str] =
    &["wav", "wave", "bwf", "rf64", "flac", "ogg", "oga", "opus", "mp3", "m4a", "aac", "aif", "aiff", "aifc"];

/// What the first bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Magic {
    /// RIFF, RF64, BW64, RIFX or Wave64: for the chunk walker to read or to refuse.
    Wave,
    Flac,
    Ogg,
    Mp3,
    Aac,
    Mp4,
    Aiff,
    AppleDouble,
    Unknown,
}

impl Magic {
    pub(crate) fn of(head: &[u8]) -> Self {
        match head {
            [b'R', b'I', b'F', b'F' | b'X', ..] | [b'R', b'F', b'6', b'4', ..] | [b'B', b'W', b'6', b'4', ..] => {
                Self::Wave
            }
            [b'r', b'i', b'f', b'f', ..] => Self::Wave,
            [b'f', b'L', b'a', b'C', ..] => Self::Flac,
            [b'O', b'g', b'g', b'S', ..] => Self::Ogg,
            [b'I', b'D', b'3', ..] => Self::Mp3,
            [0x00, 0x05, 0x16, 0x07, ..] => Self::AppleDouble,
            [_, _, _, _, b'f', b't', b'y', b'p', ..] => Self::Mp4,
            [b'F', b'O', b'R', b'M', _, _, _, _, b'A', b'I', b'F', b'F' | b'C', ..] => Self::Aiff,
            // ADTS: twelve sync bits, layer 0.
            [0xFF, second, ..] if second & 0xF6 == 0xF0 => Self::Aac,
            // MPEG audio frame: eleven sync bits, a version and a layer that exist, a bit rate and a rate that exist.
            [0xFF, second, third, ..]
                if second & 0xE0 == 0xE0
                    && second & 0x18 != 0x08
                    && second & 0x06 != 0
                    && third & 0xF0 != 0xF0
                    && third & 0x0C != 0x0C =>
            {
                Self::Mp3
            }
            _ => Self::Unknown,
        }
    }

    /// Whether a file of this sort is what `extension` (lower case) promises.
    pub(crate) fn fits(self, extension: &str) -> bool {
        match self {
            Self::Wave => is_wave(extension),
            Self::Flac => extension == "flac",
            Self::Ogg => matches!(extension, "ogg" | "oga" | "opus"),
            Self::Mp3 => extension == "mp3",
            Self::Aac => extension == "aac",
            Self::Mp4 => extension == "m4a",
            Self::Aiff => matches!(extension, "aif" | "aiff" | "aifc"),
            Self::AppleDouble | Self::Unknown => false,
        }
    }

    /// The name of the container in a row.
    pub(crate) const fn container(self) -> &'static str {
        match self {
            Self::Wave => "riff",
            Self::Flac => "flac",
            Self::Ogg => "ogg",
            Self::Mp3 => "mp3",
            Self::Aac => "adts",
            Self::Mp4 => "mp4",
            Self::Aiff => "aiff",
            Self::AppleDouble => "appledouble",
            Self::Unknown => "unknown",
        }
    }
}

/// The audio extension of `name`, lower case, if it has one.
pub(crate) fn audio_extension(name: &[u8]) -> Option<&'static str> {
    // Not `Path::extension`, which takes paths apart first: this is asked about every name in the tree.
    let extension = &name[name.iter().rposition(|byte| *byte == b'.').filter(|dot| *dot > 0)? + 1..];
    AUDIO_EXTENSIONS.iter().copied().find(|known| known.as_bytes().eq_ignore_ascii_case(extension))
}

/// Whether `extension` is one of the WAV family.
pub(crate) fn is_wave(extension: &str) -> bool {
    matches!(extension, "wav" | "wave" | "bwf" | "rf64")
}

#[cfg(test)]
mod tests {
    use super::{Magic, audio_extension};

    #[test]
    fn extensions_are_found_in_any_case() {
        assert_eq!(audio_extension(b"a.WAV"), Some("wav"));
        assert_eq!(audio_extension(b"a.b.Flac"), Some("flac"));
        assert_eq!(audio_extension(b"wav"), None);
        assert_eq!(audio_extension(b"a.txt"), None);
    }

    #[test]
    fn sync_words_of_mpeg_are_told_from_noise() {
        assert_eq!(Magic::of(&[0xFF, 0xFB, 0x90, 0x00]), Magic::Mp3);
        assert_eq!(Magic::of(&[0xFF, 0xF1, 0x50, 0x80]), Magic::Aac);
        assert_eq!(Magic::of(&[0xFF, 0xFF, 0xFF, 0xFF]), Magic::Unknown);
        assert_eq!(Magic::of(b"plain text"), Magic::Unknown);
        assert_eq!(Magic::of(b""), Magic::Unknown);
    }
}
