//! Facts and samples of everything that is not plain PCM, through Symphonia.
//!
//! Decoders of foreign bytes crash now and then. Each file is decoded behind `catch_unwind`; a crash is an issue of that file.

use crate::issue::{Code, Issue};
use crate::riff::Codec;
use crate::signal::Meter;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder, AudioDecoderOptions, well_known as id};
use symphonia::core::errors::Error;
use symphonia::core::formats::{FormatOptions, FormatReader, TrackType, probe::Hint};
use symphonia::core::io::MediaSourceStream;
use symphonia::core::meta::MetadataOptions;

/// Frames that are decoded of one file, 24 hours at 48 kHz: a few bytes of FLAC can stand for years.
pub(crate) const MAX_DECODED_FRAMES: u64 = 24 * 3600 * 48_000;

/// What a decoder says about a stream before decoding it.
pub(crate) struct Stream {
    pub(crate) codec: Codec,
    pub(crate) sample_rate: u32,
    pub(crate) channels: u16,
    pub(crate) bits: Option<u16>,
    pub(crate) frames: Option<u64>,
    reader: Box<dyn FormatReader>,
    track: u32,
    decoder: Option<Box<dyn AudioDecoder>>,
}

/// What came out of decoding a whole stream.
#[derive(Default)]
pub(crate) struct Decoded {
    pub(crate) frames: u64,
    pub(crate) cancelled: bool,
    pub(crate) issues: Vec<Issue>,
}

fn contained<T>(work: impl FnOnce() -> Result<T, Issue>) -> Result<T, Issue> {
    // Nothing that the closure touches is used again after a crash.
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(Issue::new(Code::DecoderPanicked)))
}

/// Opens a stream and reads its headers.
///
/// # Errors
/// The issue to report: `unsupported_container`, `invalid_header` or `decoder_panicked`.
pub(crate) fn open(file: File, extension: &str) -> Result<Stream, Issue> {
    contained(|| {
        let source = MediaSourceStream::new(Box::new(file), Default::default());
        let mut hint = Hint::new();
        hint.with_extension(extension);
        let reader = symphonia::default::get_probe()
            .probe(&hint, source, FormatOptions::default(), MetadataOptions::default())
            .map_err(|error| Issue::with(Code::UnsupportedContainer, error.to_string()))?;
        let track = reader.default_track(TrackType::Audio).or_else(|| reader.first_track(TrackType::Audio));
        let Some((track, parameters)) =
            track.and_then(|track| Some((track, track.codec_params.as_ref()?.audio()?.clone())))
        else {
            return Err(Issue::with(Code::UnsupportedContainer, "no audio track that can be read"));
        };
        let (track, frames) = (track.id, track.num_frames);
        let decoder =
            symphonia::default::get_codecs().make_audio_decoder(&parameters, &AudioDecoderOptions::default()).ok();
        let sample_rate = parameters.sample_rate.unwrap_or(0);
        let channels = parameters.channels.as_ref().map_or(0, symphonia::core::audio::Channels::count);
        if sample_rate == 0 {
            return Err(Issue::with(Code::InvalidHeader, "no sample rate"));
        }
        Ok(Stream {
            codec: codec(&parameters),
            sample_rate,
            channels: u16::try_from(channels).unwrap_or(u16::MAX),
            bits: parameters.bits_per_sample.and_then(|bits| u16::try_from(bits).ok()),
            frames,
            reader,
            track,
            decoder,
        })
    })
}

impl Stream {
    /// Whether [`Stream::decode`] can do anything.
    pub(crate) const fn is_decodable(&self) -> bool {
        self.decoder.is_some()
    }

    /// Decodes everything into `meter`, asking `cancelled` between packets.
    pub(crate) fn decode(mut self, meter: &mut Meter, cancelled: &dyn Fn() -> bool) -> Decoded {
        let mut decoded = Decoded::default();
        let outcome = contained(|| {
            self.packets(meter, cancelled, &mut decoded);
            Ok(())
        });
        decoded.issues.extend(outcome.err());
        decoded
    }

    fn packets(&mut self, meter: &mut Meter, cancelled: &dyn Fn() -> bool, decoded: &mut Decoded) {
        let Some(decoder) = &mut self.decoder else { return };
        let mut samples: Vec<f32> = Vec::new();
        let mut refused = 0_u64;
        loop {
            if cancelled() {
                decoded.cancelled = true;
                return;
            }
            let packet = match self.reader.next_packet() {
                Ok(Some(packet)) => packet,
                Ok(None) | Err(Error::ResetRequired) => break,
                Err(Error::IoError(error)) if error.kind() == std::io::ErrorKind::UnexpectedEof => break,
                Err(error) => {
                    decoded.issues.push(Issue::with(Code::DecodeFailed, error.to_string()));
                    break;
                }
            };
            if packet.track_id != self.track {
                continue;
            }
            match decoder.decode(&packet) {
                Ok(buffer) if usize::from(self.channels) == buffer.spec().channels().count() => {
                    decoded.frames += buffer.frames() as u64;
                    buffer.copy_to_vec_interleaved(&mut samples);
                    meter.add(&samples);
                }
                Ok(_) | Err(_) => refused += 1,
            }
            if decoded.frames > MAX_DECODED_FRAMES {
                decoded.issues.push(Issue::with(Code::AnalysisLimited, format!("{MAX_DECODED_FRAMES} frames")));
                break;
            }
        }
        if refused > 0 {
            decoded.issues.push(Issue::with(Code::DecodeFailed, format!("{refused} packets were refused")));
        }
    }
}

fn codec(parameters: &AudioCodecParameters) -> Codec {
    match parameters.codec {
        id::CODEC_ID_FLAC => Codec::Flac,
        id::CODEC_ID_VORBIS => Codec::Vorbis,
        id::CODEC_ID_OPUS => Codec::Opus,
        id::CODEC_ID_MP3 => Codec::Mp3,
        id::CODEC_ID_AAC => Codec::Aac,
        id::CODEC_ID_PCM_ALAW => Codec::Alaw,
        id::CODEC_ID_PCM_MULAW => Codec::Mulaw,
        id::CODEC_ID_ADPCM_MS => Codec::AdpcmMs,
        id::CODEC_ID_ADPCM_IMA_WAV => Codec::AdpcmIma,
        id::CODEC_ID_PCM_S16BE | id::CODEC_ID_PCM_S16LE => Codec::PcmS16,
        id::CODEC_ID_PCM_S24BE | id::CODEC_ID_PCM_S24LE => Codec::PcmS24,
        id::CODEC_ID_PCM_S32BE | id::CODEC_ID_PCM_S32LE => Codec::PcmS32,
        id::CODEC_ID_PCM_F32BE | id::CODEC_ID_PCM_F32LE => Codec::PcmF32,
        _ => Codec::Other,
    }
}
