//! The `fmt ` chunk: what the samples are.

use super::{le16, le32};
use crate::issue::{Code, Issue};
use serde::{Deserialize, Serialize};

/// How samples are coded, named as FFmpeg names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Codec {
    /// Unsigned 8-bit integers.
    PcmU8,
    /// Signed 16-bit integers (also 9 to 15 bits in two bytes).
    PcmS16,
    /// Signed 24-bit integers in three bytes.
    PcmS24,
    /// Signed 32-bit integers (also 24 bits in four bytes).
    PcmS32,
    /// IEEE 754 single precision, full scale 1.0.
    PcmF32,
    /// IEEE 754 double precision, full scale 1.0.
    PcmF64,
    /// ITU-T G.711 A-law.
    Alaw,
    /// ITU-T G.711 mu-law.
    Mulaw,
    /// Microsoft ADPCM.
    AdpcmMs,
    /// IMA/DVI ADPCM.
    AdpcmIma,
    /// GSM 06.10.
    Gsm,
    /// MPEG-1/2 layer III.
    Mp3,
    /// Free Lossless Audio Codec.
    Flac,
    /// Vorbis.
    Vorbis,
    /// Opus (RFC 6716).
    Opus,
    /// Advanced Audio Coding.
    Aac,
    /// Another one.
    Other,
}

impl Codec {
    /// The codec as it is written in manifests and summaries.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PcmU8 => "pcm_u8",
            Self::PcmS16 => "pcm_s16",
            Self::PcmS24 => "pcm_s24",
            Self::PcmS32 => "pcm_s32",
            Self::PcmF32 => "pcm_f32",
            Self::PcmF64 => "pcm_f64",
            Self::Alaw => "alaw",
            Self::Mulaw => "mulaw",
            Self::AdpcmMs => "adpcm_ms",
            Self::AdpcmIma => "adpcm_ima",
            Self::Gsm => "gsm",
            Self::Mp3 => "mp3",
            Self::Flac => "flac",
            Self::Vorbis => "vorbis",
            Self::Opus => "opus",
            Self::Aac => "aac",
            Self::Other => "other",
        }
    }

    /// Whether a decoder is needed, and the number of frames does not follow from the number of bytes alone. Plain numbers and
    /// the two codes of G.711, a byte per sample, need none.
    #[must_use]
    pub const fn is_compressed(self) -> bool {
        !matches!(
            self,
            Self::PcmU8
                | Self::PcmS16
                | Self::PcmS24
                | Self::PcmS32
                | Self::PcmF32
                | Self::PcmF64
                | Self::Alaw
                | Self::Mulaw
        )
    }
}

/// What the `fmt ` chunk says; rate and channels are at least 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Format {
    /// How samples are coded, the sub-format of WAVE_FORMAT_EXTENSIBLE resolved.
    pub codec: Codec,
    /// The format tag as it stands, sub-format resolved.
    pub tag: u16,
    /// Whether the chunk has the extensible form.
    pub extensible: bool,
    /// Frames per second.
    pub sample_rate: u32,
    /// Samples per frame.
    pub channels: u16,
    /// Bits per sample as stored; 0 for codecs that have no such number.
    pub bits: u16,
    /// Bytes per block: a frame of PCM, a packet of ADPCM.
    pub block_align: u16,
    /// Frames per packet of ADPCM.
    frames_per_block: Option<u16>,
    /// Contradictions that can be lived with.
    pub(super) issues: Vec<Issue>,
}

const EXTENSIBLE: u16 = 0xFFFE;

/// The end of every sub-format GUID that is a plain format tag (KSDATAFORMAT_SUBTYPE_*).
const GUID_TAIL: [u8; 14] = [0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xAA, 0, 0x38, 0x9B, 0x71];

impl Format {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Issue> {
        if bytes.len() < 14 {
            return Err(Issue::with(Code::InvalidHeader, format!("fmt chunk of {} bytes", bytes.len())));
        }
        let outer = le16(bytes, 0);
        let extensible = outer == EXTENSIBLE && bytes.len() >= 40;
        let tag = match extensible {
            true if bytes[26..40] == GUID_TAIL => le16(bytes, 24),
            true => 0,
            false => outer,
        };
        let bits = if bytes.len() >= 16 { le16(bytes, 14) } else { 0 };
        let frames_per_block = (matches!(tag, 0x02 | 0x11) && bytes.len() >= 20).then(|| le16(bytes, 18));
        let mut format = Self {
            codec: Codec::Other,
            tag,
            extensible,
            sample_rate: le32(bytes, 4),
            channels: le16(bytes, 2),
            bits,
            block_align: le16(bytes, 12),
            frames_per_block,
            issues: Vec::new(),
        };
        if format.sample_rate == 0 {
            return Err(Issue::with(Code::InvalidHeader, "sample rate 0"));
        }
        if format.channels == 0 {
            return Err(Issue::with(Code::InvalidHeader, "0 channels"));
        }
        format.resolve_codec()?;
        Ok(format)
    }

    fn resolve_codec(&mut self) -> Result<(), Issue> {
        self.codec = match self.tag {
            0x0001 => self.integer_codec()?,
            0x0003 if self.bits == 64 => Codec::PcmF64,
            0x0003 if self.bits == 32 => Codec::PcmF32,
            0x0003 => return Err(Issue::with(Code::InvalidHeader, format!("floats of {} bits", self.bits))),
            0x0002 => Codec::AdpcmMs,
            0x0006 => Codec::Alaw,
            0x0007 => Codec::Mulaw,
            0x0011 => Codec::AdpcmIma,
            0x0031 => Codec::Gsm,
            0x0055 => Codec::Mp3,
            _ => Codec::Other,
        };
        let Some(expected) = self.sample_bytes().map(|bytes| u32::from(bytes) * u32::from(self.channels)) else {
            return Ok(());
        };
        let Ok(expected) = u16::try_from(expected) else {
            return Err(Issue::with(Code::InvalidHeader, format!("{} channels of {} bits", self.channels, self.bits)));
        };
        if self.block_align != expected {
            let detail = format!("block align {} where {expected} was expected", self.block_align);
            self.issues.push(Issue::with(Code::HeaderInconsistent, detail));
            self.block_align = expected;
        }
        Ok(())
    }

    /// 24 bits are sometimes stored in four bytes; only the block size tells.
    fn integer_codec(&self) -> Result<Codec, Issue> {
        let in_four_bytes = u32::from(self.block_align) == 4 * u32::from(self.channels);
        let width = if self.bits.div_ceil(8) == 3 && in_four_bytes { 4 } else { self.bits.div_ceil(8) };
        match width {
            _ if self.bits == 0 => Err(Issue::with(Code::InvalidHeader, "samples of 0 bits")),
            1 => Ok(Codec::PcmU8),
            2 => Ok(Codec::PcmS16),
            3 => Ok(Codec::PcmS24),
            4 => Ok(Codec::PcmS32),
            _ => Err(Issue::with(Code::InvalidHeader, format!("integers of {} bits", self.bits))),
        }
    }

    fn sample_bytes(&self) -> Option<u16> {
        match self.codec {
            Codec::PcmU8 | Codec::Alaw | Codec::Mulaw => Some(1),
            Codec::PcmS16 => Some(2),
            Codec::PcmS24 => Some(3),
            Codec::PcmS32 | Codec::PcmF32 => Some(4),
            Codec::PcmF64 => Some(8),
            _ => None,
        }
    }

    /// Bytes of one frame, for codecs that have such a number.
    #[must_use]
    pub fn frame_bytes(&self) -> Option<u64> {
        self.sample_bytes().map(|bytes| u64::from(bytes) * u64::from(self.channels))
    }

    /// Whole frames in `bytes` of audio, where that can be computed.
    #[must_use]
    pub fn frames_in(&self, bytes: u64) -> Option<u64> {
        if let Some(frame) = self.frame_bytes() {
            return Some(bytes / frame);
        }
        let per_block = u64::from(self.frames_per_block.filter(|frames| *frames > 0)?);
        let block = u64::from(Some(self.block_align).filter(|align| *align > 0)?);
        (bytes / block).checked_mul(per_block)
    }
}
