//! The one pass over a file's bytes: hashes and samples while they are in the processor's cache.

use crate::riff::{ReadAt, Wav};
use crate::signal::Meter;
use sha2::{Digest, Sha256};
use std::io;

/// Bytes read at a time: big enough for few system calls, small enough for the cache.
pub(crate) const CHUNK: usize = 256 * 1024;

/// What a pass needs room for, kept from file to file.
pub(crate) struct Buffers {
    bytes: Vec<u8>,
    samples: Vec<f32>,
}

impl Default for Buffers {
    fn default() -> Self {
        Self { bytes: vec![0; CHUNK], samples: Vec::with_capacity(CHUNK) }
    }
}

/// What came out of a pass.
#[derive(Debug)]
pub(crate) struct Content {
    /// SHA-256 of everything.
    pub(crate) sha256: [u8; 32],
    /// SHA-256 of the audio data, for WAV files.
    pub(crate) audio_sha256: Option<[u8; 32]>,
    /// Samples that were no numbers.
    pub(crate) not_finite: usize,
}

/// Why a pass ended early.
#[derive(Debug)]
pub(crate) enum Interruption {
    Cancelled,
    Io(io::Error),
}

/// Reads the whole file. `wav` says where audio is; `meter` gets its samples if it is PCM.
pub(crate) fn read(
    file: &impl ReadAt,
    wav: Option<&Wav>,
    mut meter: Option<&mut Meter>,
    buffers: &mut Buffers,
    cancelled: &dyn Fn() -> bool,
) -> Result<Content, Interruption> {
    let mut whole = Sha256::new();
    let mut audio = wav.map(Audio::new);
    let (mut at, mut not_finite) = (0_u64, 0);
    loop {
        if cancelled() {
            return Err(Interruption::Cancelled);
        }
        let wanted = audio.as_ref().map_or(CHUNK, |audio| audio.portion(at));
        let bytes = fill(file, at, &mut buffers.bytes[..wanted]).map_err(Interruption::Io)?;
        whole.update(bytes);
        if let Some(audio) = &mut audio {
            let data = audio.within(at, bytes);
            audio.hash.update(data);
            if let Some(meter) = meter.as_deref_mut() {
                buffers.samples.clear();
                not_finite +=
                    crate::pcm::cast(audio.wav.format.codec, &data[..audio.whole_frames(data)], &mut buffers.samples);
                meter.add(&buffers.samples);
            }
        }
        at += bytes.len() as u64;
        if bytes.len() < wanted {
            break;
        }
    }
    let audio_sha256 = audio.filter(|audio| audio.wav.data_len > 0).map(|audio| audio.hash.finalize().into());
    Ok(Content { sha256: whole.finalize().into(), audio_sha256, not_finite })
}

/// Where the audio lies in the file, and its hash.
struct Audio<'a> {
    wav: &'a Wav,
    end: u64,
    frame: usize,
    hash: Sha256,
}

impl<'a> Audio<'a> {
    fn new(wav: &'a Wav) -> Self {
        let frame =
            wav.format.frame_bytes().and_then(|frame| usize::try_from(frame).ok()).filter(|frame| *frame <= CHUNK / 2);
        Self { wav, end: wav.data_offset.saturating_add(wav.data_len), frame: frame.unwrap_or(1), hash: Sha256::new() }
    }

    /// How much to read at `at`, so that audio is always read in whole frames.
    fn portion(&self, at: u64) -> usize {
        let before = usize::try_from(self.wav.data_offset.saturating_sub(at)).unwrap_or(usize::MAX);
        if before > CHUNK - self.frame {
            before.min(CHUNK)
        } else {
            before + (CHUNK - before) / self.frame * self.frame
        }
    }

    /// The part of `bytes`, which stand at `at`, that is audio.
    fn within<'b>(&self, at: u64, bytes: &'b [u8]) -> &'b [u8] {
        let clamp = |position: u64| usize::try_from(position.saturating_sub(at)).unwrap_or(usize::MAX).min(bytes.len());
        let (start, end) = (clamp(self.wav.data_offset), clamp(self.end));
        &bytes[start..end.max(start)]
    }

    const fn whole_frames(&self, data: &[u8]) -> usize {
        data.len() / self.frame * self.frame
    }
}

/// Fills the buffer from `at` on; less only at the end of the file.
pub(crate) fn fill<'a>(file: &impl ReadAt, at: u64, buffer: &'a mut [u8]) -> io::Result<&'a [u8]> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(at + filled as u64, &mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(&buffer[..filled])
}

/// A hash in lower-case hexadecimal.
pub(crate) fn hex(hash: &[u8; 32]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    hash.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}
