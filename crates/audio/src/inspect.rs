//! One file to one row.

use crate::content::{self, Buffers, Interruption};
use crate::decode;
use crate::folder::Folder;
use crate::issue::{Code, Issue};
use crate::libritts::{self, Speakers};
use crate::open::{self, Refusal};
use crate::options::Tier;
use crate::previous::Previous;
use crate::riff::{self, Codec, Container, Wav};
use crate::row::{Facts, Row};
use crate::signal::{self, Meter, round};
use crate::sniff::{Magic, is_wave};
use crate::walk::{Item, Kind, stem};
use rustix::fs::Stat;
use std::borrow::Cow;
use std::fs::File;

/// Bytes of a file that are read first; the header of nearly every WAV file lies in the first 44.
pub(crate) const HEAD: usize = 1024;

/// What a worker needs to turn files into rows.
pub(crate) struct Inspector<'a> {
    pub(crate) tier: Tier,
    pub(crate) speakers: &'a Speakers,
    pub(crate) previous: &'a [Previous],
    pub(crate) cancelled: &'a dyn Fn() -> bool,
    pub(crate) buffers: Buffers,
    pub(crate) head: [u8; HEAD],
}

/// A row, and whether it was taken over from an earlier manifest.
pub(crate) struct Inspected {
    pub(crate) row: Box<Row>,
    pub(crate) is_reused: bool,
}

/// The scan was cancelled in the middle of the file.
pub(crate) struct Cancelled;

impl Inspector<'_> {
    pub(crate) fn inspect(&mut self, folder: &Folder, item: &Item) -> Result<Inspected, Cancelled> {
        let path = folder.join(&item.name);
        if let Some(row) = self.unchanged(folder, item, &path) {
            return Ok(Inspected { row, is_reused: true });
        }
        let (path, path_escaped) = crate::path::escape(&path);
        let mut row = Box::new(Row { path, path_escaped, tier: self.tier, ..Row::default() });
        if path_escaped {
            row.note(Issue::new(Code::NameNotUtf8));
        }
        match item.kind {
            Kind::File => self.file(&mut row, folder, item)?,
            Kind::Symlink => row.note(Issue::new(link(folder, item))),
            Kind::Other => row.note(Issue::new(Code::NotARegularFile)),
        }
        Ok(Inspected { row, is_reused: false })
    }

    /// The earlier row of a file that has not changed since, with what the speakers' table says today.
    fn unchanged(&self, folder: &Folder, item: &Item, path: &[u8]) -> Option<Box<Row>> {
        // Every manifest is asked, so that each knows which of its files are still there.
        let known: Vec<Row> = self.previous.iter().filter_map(|previous| previous.get(path)).collect();
        if known.is_empty() || item.kind != Kind::File {
            return None;
        }
        let stat = open::stat_at(&*folder.handle, &item.name).ok()?;
        let same = |row: &Row| {
            row.tier >= self.tier
                && row.inode == stat.st_ino
                && row.bytes == u64::try_from(stat.st_size).unwrap_or(0)
                && row.mtime_ns == open::mtime_ns(&stat)
                && !row.has(Code::Unreadable)
                && !row.has(Code::Vanished)
        };
        let mut row = Box::new(known.into_iter().find(same)?);
        if self.tier >= Tier::Standard && row.text_stamp != self.stamp(folder, item) {
            return None;
        }
        let utterance = row.utterance.take();
        self.identify(&mut row, &item.name);
        if let (Some(now), Some(before)) = (&mut row.utterance, utterance) {
            now.stated_snr_db = before.stated_snr_db;
            let _ = folder.tables().found(&now.id);
        }
        Some(row)
    }

    fn stamp(&self, folder: &Folder, item: &Item) -> Option<u64> {
        (self.tier >= Tier::Standard && folder.has_texts()).then(|| folder.text_stamp(stem(&item.name)))
    }

    fn file(&mut self, row: &mut Row, folder: &Folder, item: &Item) -> Result<(), Cancelled> {
        let (file, stat) = match open::regular_at(&*folder.handle, &item.name) {
            Ok(opened) => opened,
            Err(refusal) => {
                row.note(refused(&refusal));
                return Ok(());
            }
        };
        self.identify(row, &item.name);
        note_stat(row, &stat);
        let length = row.bytes;
        let head_length = match content::fill(&file, 0, &mut self.head) {
            Ok(head) => head.len(),
            Err(error) => {
                row.note(Issue::with(Code::Unreadable, error.to_string()));
                return Ok(());
            }
        };
        let magic = Magic::of(&self.head[..head_length]);
        if magic == Magic::AppleDouble && item.name.starts_with(b"._") {
            row.note(Issue::new(Code::AppledoubleSkipped));
            return Ok(());
        }
        self.audio(row, file, length, head_length, magic, item.extension)?;
        if self.tier >= Tier::Standard && folder.has_texts() {
            row.text_stamp = self.stamp(folder, item);
            crate::transcript::attach(row, folder, stem(&item.name));
            note_pace(row);
        }
        Ok(())
    }

    fn audio(
        &mut self,
        row: &mut Row,
        file: File,
        length: u64,
        head: usize,
        magic: Magic,
        extension: &str,
    ) -> Result<(), Cancelled> {
        let as_wave = magic == Magic::Wave || (magic == Magic::Unknown && (is_wave(extension) || head == 0));
        if as_wave {
            if magic == Magic::Wave && !magic.fits(extension) {
                row.note(Issue::with(Code::ExtensionMismatch, magic.container()));
            }
            return match riff::walk(&self.head[..head], length, &file) {
                Ok(wav) => self.wave(row, file, &wav),
                Err(riff::Refusal::Issue(issue)) => {
                    row.note(issue);
                    self.hash_only(row, &file)
                }
                Err(riff::Refusal::Io(error)) => {
                    row.note(Issue::with(Code::Unreadable, error.to_string()));
                    Ok(())
                }
            };
        }
        self.hash_only(row, &file)?;
        match magic {
            Magic::Unknown | Magic::AppleDouble => {
                row.note(Issue::new(if is_wave(extension) { Code::NotWav } else { Code::NotAudio }));
            }
            Magic::Mp3 if is_wave(extension) => row.note(Issue::new(Code::IsMp3)),
            magic if !magic.fits(extension) => row.note(Issue::with(Code::ExtensionMismatch, magic.container())),
            _ => {}
        }
        if matches!(magic, Magic::Unknown | Magic::AppleDouble) {
            return Ok(());
        }
        self.foreign(row, file, magic)
    }

    fn hash_only(&mut self, row: &mut Row, file: &File) -> Result<(), Cancelled> {
        if self.tier >= Tier::Standard && row.bytes > 0 {
            self.pass(row, file, None, None)?;
        }
        Ok(())
    }

    fn wave(&mut self, row: &mut Row, file: File, wav: &Wav) -> Result<(), Cancelled> {
        row.facts = Some(wave_facts(wav));
        for issue in &wav.issues {
            row.note(issue.clone());
        }
        let codec = wav.format.codec;
        let has_audio = wav.actual_frames().is_none_or(|frames| frames > 0);
        let mut meter = (self.tier == Tier::Full && has_audio && !codec.is_compressed())
            .then(|| Meter::new(wav.format.sample_rate, wav.format.channels, crate::pcm::full_scale(codec)));
        if self.tier >= Tier::Standard {
            self.pass(row, &file, Some(wav), meter.as_mut())?;
        }
        if let Some(meter) = meter {
            note_signal(row, meter);
        } else if codec.is_compressed() && (self.tier == Tier::Full || codec == Codec::Other) && has_audio {
            self.decode(row, file, "wav", codec)?;
        }
        Ok(())
    }

    fn pass(
        &mut self,
        row: &mut Row,
        file: &File,
        wav: Option<&Wav>,
        meter: Option<&mut Meter>,
    ) -> Result<(), Cancelled> {
        match content::read(file, wav, meter, &mut self.buffers, self.cancelled) {
            Ok(content) => {
                row.sha256 = Some(content::hex(&content.sha256));
                row.audio_sha256 = content.audio_sha256.as_ref().map(content::hex);
                if content.not_finite > 0 {
                    row.note(Issue::with(Code::NotFinite, format!("{} samples", content.not_finite)));
                }
                Ok(())
            }
            Err(Interruption::Cancelled) => Err(Cancelled),
            Err(Interruption::Io(error)) => {
                row.note(Issue::with(Code::Unreadable, error.to_string()));
                Ok(())
            }
        }
    }

    /// Facts of FLAC, Ogg, MP3 and the like, and their signal.
    fn foreign(&mut self, row: &mut Row, file: File, magic: Magic) -> Result<(), Cancelled> {
        let stream = match decode::open(file, magic.container()) {
            Ok(stream) => stream,
            Err(issue) => {
                row.note(issue);
                return Ok(());
            }
        };
        row.facts = Some(Facts {
            container: magic.container().into(),
            codec: stream.codec,
            format_tag: None,
            sample_rate: stream.sample_rate,
            channels: stream.channels,
            bit_depth: stream.bits,
            declared_frames: stream.frames,
            actual_frames: stream.frames,
            duration_s: stream.frames.map(|frames| frames as f64 / f64::from(stream.sample_rate)),
            data_offset: None,
            data_bytes: None,
        });
        if self.tier == Tier::Full { self.decoded(row, stream) } else { Ok(()) }
    }

    /// Signal of a codec in a WAV file that is not PCM.
    fn decode(&mut self, row: &mut Row, file: File, extension: &str, codec: Codec) -> Result<(), Cancelled> {
        match decode::open(file, extension) {
            Ok(stream) if stream.is_decodable() && stream.codec == codec => {
                if self.tier == Tier::Full {
                    self.decoded(row, stream)
                } else {
                    Ok(())
                }
            }
            Err(issue) if issue.code == Code::DecoderPanicked => {
                row.note(issue);
                Ok(())
            }
            Ok(_) | Err(_) => {
                row.note(Issue::new(Code::CodecNotAnalysed));
                Ok(())
            }
        }
    }

    fn decoded(&mut self, row: &mut Row, stream: decode::Stream) -> Result<(), Cancelled> {
        if !stream.is_decodable() || stream.channels == 0 {
            row.note(Issue::new(Code::CodecNotAnalysed));
            return Ok(());
        }
        let (rate, declared, is_exact) = (stream.sample_rate, stream.frames, matches!(stream.codec, Codec::Flac));
        let mut meter = Meter::new(rate, stream.channels, crate::pcm::full_scale(stream.codec));
        let decoded = stream.decode(&mut meter, self.cancelled);
        if decoded.cancelled {
            return Err(Cancelled);
        }
        let is_whole = decoded.issues.is_empty();
        for issue in decoded.issues {
            row.note(issue);
        }
        if let Some(facts) = row.facts.as_mut().filter(|facts| facts.data_offset.is_none()) {
            facts.actual_frames = Some(decoded.frames);
            facts.duration_s = Some(decoded.frames as f64 / f64::from(rate));
        }
        if is_exact && is_whole && declared.is_some_and(|declared| decoded.frames < declared) {
            row.note(Issue::with(Code::Truncated, format!("{} frames of {}", decoded.frames, declared.unwrap_or(0))));
        }
        if decoded.frames == 0 {
            row.note(Issue::new(Code::ZeroLength));
        } else {
            note_signal(row, meter);
        }
        Ok(())
    }

    fn identify(&self, row: &mut Row, name: &[u8]) {
        let Some(mut utterance) = str::from_utf8(stem(name)).ok().and_then(libritts::parse) else { return };
        let speaker = self.speakers.get(&utterance.speaker);
        utterance.gender = speaker.and_then(|speaker| speaker.gender.clone());
        utterance.subset = libritts::subset(&row.path)
            .map(Cow::Borrowed)
            .or_else(|| speaker.and_then(|speaker| speaker.subset.clone()));
        row.utterance = Some(utterance);
    }
}

fn refused(refusal: &Refusal) -> Issue {
    match refusal {
        Refusal::Vanished => Issue::new(Code::Vanished),
        Refusal::Symlink => Issue::new(Code::SymlinkSkipped),
        Refusal::NotRegular => Issue::new(Code::NotARegularFile),
        Refusal::Unreadable(errno) => Issue::with(Code::Unreadable, errno.to_string()),
    }
}

fn link(folder: &Folder, item: &Item) -> Code {
    match rustix::fs::statat(&*folder.handle, item.name.as_slice(), rustix::fs::AtFlags::empty()) {
        Ok(_) => Code::SymlinkSkipped,
        Err(_) => Code::SymlinkBroken,
    }
}

fn note_stat(row: &mut Row, stat: &Stat) {
    row.bytes = u64::try_from(stat.st_size).unwrap_or(0);
    row.mtime_ns = open::mtime_ns(stat);
    row.inode = stat.st_ino;
}

fn note_signal(row: &mut Row, meter: Meter) {
    let clipped = meter.clipped();
    let signal = meter.finish();
    if signal.peak < signal::SILENT_PEAK {
        row.note(Issue::new(Code::Silent));
    }
    if clipped >= signal::CLIPPED_SAMPLES && signal.clipping_ratio >= signal::CLIPPED_RATIO {
        row.note(Issue::with(Code::Clipped, format!("{clipped} samples")));
    }
    row.signal = Some(signal);
}

fn note_pace(row: &mut Row) {
    let Some(seconds) = row.facts.as_ref().and_then(|facts| facts.duration_s).filter(|seconds| *seconds > 0.0) else {
        return;
    };
    if let (Some(signal), Some(transcript)) = (&mut row.signal, &row.transcript) {
        signal.chars_per_second = Some(round(transcript.text().chars().count() as f64 / seconds, 2));
    }
}

fn wave_facts(wav: &Wav) -> Facts {
    let container = match wav.container {
        Container::Riff => "riff",
        Container::Rf64 => "rf64",
        Container::Bw64 => "bw64",
    };
    let format = &wav.format;
    let actual_frames = wav.actual_frames();
    Facts {
        container: container.into(),
        codec: format.codec,
        format_tag: (format.codec == Codec::Other).then_some(format.tag),
        sample_rate: format.sample_rate,
        channels: format.channels,
        bit_depth: Some(format.bits).filter(|bits| *bits > 0),
        declared_frames: wav.declared_frames(),
        actual_frames,
        duration_s: actual_frames.map(|frames| frames as f64 / f64::from(format.sample_rate)),
        data_offset: Some(wav.data_offset),
        data_bytes: Some(wav.data_len),
    }
}
