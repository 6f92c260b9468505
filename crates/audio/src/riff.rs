//! A tolerant walk over the chunks of a WAV file: RIFF, RF64 and BW64 (EBU Tech 3306), little-endian.
//!
//! What makes it tolerant: it reports what is wrong and still locates the audio, where libraries refuse or, worse, silently
//! return less. It reads headers only, through a caller's `read_at`, one window of [`WINDOW`] bytes in the usual case.

mod format;

pub use format::{Codec, Format};

use crate::issue::{Code, Issue};
use std::io;

/// Bytes fetched by one read; the header of nearly every WAV file fits in one.
pub const WINDOW: usize = 4096;

/// Chunks looked at before a file is given up as [`Code::InvalidHeader`].
pub const MAX_CHUNKS: usize = 4096;

/// Windows fetched before a file is given up: a hostile file can make every chunk cost a read.
pub const MAX_READS: usize = 256;

/// The smallest PCM WAV header: RIFF (12), `fmt ` (8 + 16), `data` (8).
const MIN_HEADER: u64 = 44;

/// Sizes from here on are place-holders of programs that wrote to a pipe (SoX 0x7FFFF000, others 0xFFFFFFFF).
const PLACEHOLDER_SIZE: u64 = 0x7FFF_F000;

/// Where the bytes of a file come from.
pub trait ReadAt {
    /// Reads at most `buffer.len()` bytes at `offset`; 0 means the end of the file.
    ///
    /// # Errors
    /// Whatever the underlying file answers.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;
}

impl ReadAt for [u8] {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = usize::try_from(offset).ok().and_then(|start| self.get(start..)).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }
}

impl ReadAt for std::fs::File {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        std::os::unix::fs::FileExt::read_at(self, buffer, offset)
    }
}

/// The outer form of a WAV file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Container {
    /// `RIFF`: sizes up to 4 GiB.
    Riff,
    /// `RF64`: 64-bit sizes in a `ds64` chunk.
    Rf64,
    /// `BW64` (ITU-R BS.2088), RF64's successor with the same `ds64` chunk.
    Bw64,
}

/// What the header of a WAV file says, and what the file's length makes of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Wav {
    /// RIFF, RF64 or BW64.
    pub container: Container,
    /// Codec, rate, channels and sizes from the `fmt ` chunk.
    pub format: Format,
    /// Where the audio starts, in bytes from the start of the file.
    pub data_offset: u64,
    /// Bytes of audio that the header declares; `None` if it is a place-holder.
    pub data_declared: Option<u64>,
    /// Bytes of audio that are really there.
    pub data_len: u64,
    /// Frames according to the `fact` or `ds64` chunk, the only source for compressed codecs.
    pub fact_frames: Option<u64>,
    /// Faults that did not keep the audio from being located.
    pub issues: Vec<Issue>,
}

impl Wav {
    /// Frames that the header promises.
    #[must_use]
    pub fn declared_frames(&self) -> Option<u64> {
        let declared = self.data_declared?;
        if self.format.codec.is_compressed() {
            self.fact_frames.or(self.format.frames_in(declared))
        } else {
            self.format.frames_in(declared)
        }
    }

    /// Whole frames that are really there.
    #[must_use]
    pub fn actual_frames(&self) -> Option<u64> {
        let by_length = self.format.frames_in(self.data_len);
        match (self.format.codec.is_compressed(), self.fact_frames) {
            (true, Some(fact)) => Some(by_length.map_or(fact, |frames| frames.min(fact))),
            _ => by_length,
        }
    }
}

/// Why no audio could be located.
#[derive(Debug)]
pub enum Refusal {
    /// The bytes are at fault.
    Issue(Issue),
    /// Reading them failed.
    Io(io::Error),
}

impl From<io::Error> for Refusal {
    fn from(source: io::Error) -> Self {
        Self::Io(source)
    }
}

fn refuse<T>(code: Code, detail: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::Issue(Issue::with(code, detail)))
}

/// Walks the chunks of a file of `length` bytes whose first bytes, up to [`WINDOW`], are `head`.
///
/// # Errors
/// [`Refusal::Issue`] with `empty`, `too_short`, `not_wav`, `unsupported_container` or `invalid_header`; [`Refusal::Io`]
/// if a window behind `head` cannot be read.
pub fn walk(head: &[u8], length: u64, file: &(impl ReadAt + ?Sized)) -> Result<Wav, Refusal> {
    if length == 0 || head.is_empty() {
        return Err(Refusal::Issue(Issue::new(Code::Empty)));
    }
    let container = container(head)?;
    if length < MIN_HEADER {
        return refuse(Code::TooShort, format!("{length} bytes"));
    }
    if head.get(8..12) != Some(b"WAVE") {
        return refuse(Code::NotWav, "a RIFF file of another form than WAVE");
    }
    Walker {
        window: Window { head, fetched: Vec::new(), start: 0, reads: 0, file },
        length,
        container,
        seen: Seen::default(),
    }
    .run()
}

fn container(head: &[u8]) -> Result<Container, Refusal> {
    match head.get(..4) {
        Some(b"RIFF") => Ok(Container::Riff),
        Some(b"RF64") => Ok(Container::Rf64),
        Some(b"BW64") => Ok(Container::Bw64),
        Some(b"RIFX") => refuse(Code::UnsupportedContainer, "RIFX (big-endian WAVE)"),
        Some(b"riff") => refuse(Code::UnsupportedContainer, "Wave64"),
        Some(_) => refuse(Code::NotWav, "no RIFF signature"),
        None => refuse(Code::TooShort, format!("{} bytes", head.len())),
    }
}

/// What the chunks so far have said.
#[derive(Default)]
struct Seen {
    format: Option<Format>,
    data: Option<(u64, u64)>,
    fact: Option<u64>,
    ds64: Option<Ds64>,
}

#[derive(Clone, Copy)]
struct Ds64 {
    data_size: u64,
    frames: u64,
}

struct Walker<'a, R: ReadAt + ?Sized> {
    window: Window<'a, R>,
    length: u64,
    container: Container,
    seen: Seen,
}

impl<R: ReadAt + ?Sized> Walker<'_, R> {
    fn run(mut self) -> Result<Wav, Refusal> {
        let mut at = 12_u64;
        for _ in 0..MAX_CHUNKS {
            let Some(header) = self.window.get(at, 8)? else { break };
            let (id, size) = ([header[0], header[1], header[2], header[3]], u64::from(le32(header, 4)));
            let body = at + 8;
            let size = self.chunk(id, size, body)?;
            if self.seen.data.is_some() && self.seen.format.is_some() {
                break;
            }
            // Chunks are padded to even length; the padding byte is not part of the size.
            let Some(next) = body.checked_add(size).and_then(|end| end.checked_add(size & 1)) else { break };
            if next >= self.length {
                break;
            }
            at = next;
        }
        self.finish()
    }

    /// Notes what the chunk says and returns its true size.
    fn chunk(&mut self, id: [u8; 4], size: u64, body: u64) -> Result<u64, Refusal> {
        match &id {
            b"fmt " if self.seen.format.is_none() => {
                // 40 bytes are the extensible form; what a codec adds behind that is of no interest here.
                let wanted = usize::try_from(size.min(40)).unwrap_or(40);
                let Some(bytes) = self.window.get_up_to(body, wanted)? else {
                    return refuse(Code::InvalidHeader, "the file ends in the fmt chunk");
                };
                self.seen.format = Some(Format::parse(bytes).map_err(Refusal::Issue)?);
                Ok(size)
            }
            b"ds64" => {
                if let Some(bytes) = self.window.get(body, 24)? {
                    self.seen.ds64 = Some(Ds64 { data_size: le64(bytes, 8), frames: le64(bytes, 16) });
                }
                Ok(size)
            }
            b"fact" => {
                if size >= 4
                    && let Some(bytes) = self.window.get(body, 4)?
                {
                    self.seen.fact = Some(u64::from(le32(bytes, 0)));
                }
                Ok(size)
            }
            b"data" if self.seen.data.is_none() => {
                let size = match (self.container, self.seen.ds64) {
                    (Container::Rf64 | Container::Bw64, Some(ds64)) if size == 0xFFFF_FFFF => ds64.data_size,
                    _ => size,
                };
                self.seen.data = Some((body, size));
                Ok(size)
            }
            _ => Ok(size),
        }
    }

    fn finish(mut self) -> Result<Wav, Refusal> {
        let Some(format) = self.seen.format.take() else { return refuse(Code::InvalidHeader, "no fmt chunk") };
        let Some((data_offset, declared)) = self.seen.data else {
            return refuse(Code::InvalidHeader, "no data chunk");
        };
        let available = self.length.saturating_sub(data_offset);
        let mut issues = format.issues.clone();
        let (data_declared, data_len) = self.sizes(data_offset, declared, available, &mut issues)?;
        let whole = format.frame_bytes().map_or(0, |frame| data_len % frame);
        if whole != 0 && issues.iter().all(|issue| issue.code != Code::Truncated) {
            issues.push(Issue::with(Code::PartialFrame, format!("{whole} bytes behind the last frame")));
        }
        if data_len == 0 && issues.iter().all(|issue| issue.code != Code::Truncated) {
            issues.push(Issue::new(Code::ZeroLength));
        }
        let ds64_frames = self.seen.ds64.map(|ds64| ds64.frames).filter(|frames| *frames > 0);
        let fact_frames = self.seen.fact.filter(|frames| *frames > 0 && *frames != 0xFFFF_FFFF).or(ds64_frames);
        Ok(Wav { container: self.container, format, data_offset, data_declared, data_len, fact_frames, issues })
    }

    /// The declared and the true size of the audio, with what is wrong about them.
    fn sizes(
        &mut self,
        offset: u64,
        declared: u64,
        available: u64,
        issues: &mut Vec<Issue>,
    ) -> Result<(Option<u64>, u64), Refusal> {
        if declared > available && declared >= PLACEHOLDER_SIZE && self.container == Container::Riff {
            issues.push(Issue::with(Code::SizeUnknown, format!("declares {declared} bytes, {available} are there")));
            return Ok((None, available));
        }
        if declared > available {
            issues.push(Issue::with(
                Code::Truncated,
                format!("declares {declared} bytes of audio, {available} are there"),
            ));
            return Ok((Some(declared), available));
        }
        if declared == 0 && available > 0 && !self.is_chunk(offset)? {
            issues.push(Issue::with(Code::DataSizeZero, format!("{available} bytes follow an empty data chunk")));
            return Ok((Some(0), available));
        }
        Ok((Some(declared), declared))
    }

    /// Whether a well-formed chunk stands at `offset`: then an empty data chunk is really empty.
    fn is_chunk(&mut self, offset: u64) -> Result<bool, Refusal> {
        let length = self.length;
        let Some(header) = self.window.get(offset, 8)? else { return Ok(false) };
        let printable = header[..4].iter().all(|byte| (0x20..0x7F).contains(byte));
        Ok(printable && u64::from(le32(header, 4)) <= length.saturating_sub(offset + 8))
    }
}

/// The part of the file that is in memory: its head, or one later window.
struct Window<'a, R: ReadAt + ?Sized> {
    head: &'a [u8],
    fetched: Vec<u8>,
    start: u64,
    reads: usize,
    file: &'a R,
}

impl<R: ReadAt + ?Sized> Window<'_, R> {
    /// Exactly `count` bytes at `offset`, or `None` where the file ends before.
    fn get(&mut self, offset: u64, count: usize) -> Result<Option<&[u8]>, Refusal> {
        Ok(self.get_up_to(offset, count)?.filter(|bytes| bytes.len() == count))
    }

    /// Up to `count` bytes at `offset`, or `None` at the end of the file.
    fn get_up_to(&mut self, offset: u64, count: usize) -> Result<Option<&[u8]>, Refusal> {
        debug_assert!(count <= WINDOW);
        let in_head = usize::try_from(offset).ok().filter(|start| start + count <= self.head.len());
        if let Some(start) = in_head {
            return Ok(Some(&self.head[start..start + count]));
        }
        let held = offset >= self.start && offset + count as u64 <= self.start + self.fetched.len() as u64;
        if !held {
            self.fetch(offset)?;
        }
        let start = usize::try_from(offset - self.start).unwrap_or(usize::MAX);
        let rest = self.fetched.get(start..).unwrap_or_default();
        Ok((!rest.is_empty()).then(|| &rest[..count.min(rest.len())]))
    }

    fn fetch(&mut self, offset: u64) -> Result<(), Refusal> {
        self.reads += 1;
        if self.reads > MAX_READS {
            return refuse(Code::InvalidHeader, format!("the chunks are spread over more than {MAX_READS} places"));
        }
        self.fetched.resize(WINDOW, 0);
        let mut filled = 0;
        while filled < WINDOW {
            match self.file.read_at(offset + filled as u64, &mut self.fetched[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.fetched.truncate(filled);
        self.start = offset;
        Ok(())
    }
}

fn le16(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn le32(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn le64(bytes: &[u8], at: usize) -> u64 {
    u64::from(le32(bytes, at)) | u64::from(le32(bytes, at + 4)) << 32
}
