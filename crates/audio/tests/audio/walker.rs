//! The chunk walker takes any bytes: it answers, in bounded time, and never panics.

use proptest::prelude::*;
use raincheck_audio::fixtures::WavFile;
use raincheck_audio::riff::{MAX_READS, ReadAt, WINDOW, walk};
use std::cell::Cell;
use std::io;

/// Bytes that count how often they are read and refuse to be read past the end or in pieces larger than a window.
struct Watched<'a> {
    bytes: &'a [u8],
    reads: Cell<usize>,
}

impl ReadAt for Watched<'_> {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        assert!(buffer.len() <= WINDOW);
        self.reads.set(self.reads.get() + 1);
        self.bytes.read_at(offset, buffer)
    }
}

fn check(bytes: &[u8], claimed: u64) -> Result<(), TestCaseError> {
    let file = Watched { bytes, reads: Cell::new(0) };
    let outcome = walk(&bytes[..bytes.len().min(WINDOW)], claimed, &file);
    // One window can take several reads at the end of the file.
    prop_assert!(file.reads.get() <= 2 * MAX_READS + 2);
    if let Ok(wav) = outcome {
        prop_assert!(wav.format.sample_rate > 0 && wav.format.channels > 0);
        prop_assert!(wav.data_offset.checked_add(wav.data_len).is_some_and(|end| end <= claimed));
        if let (Some(frames), Some(size)) = (wav.actual_frames(), wav.format.frame_bytes()) {
            prop_assert!(frames * size <= wav.data_len);
        }
        let _ = wav.declared_frames();
    }
    Ok(())
}

fn header() -> impl Strategy<Value = Vec<u8>> {
    let chunks = prop::collection::vec(
        (
            prop::sample::select(vec![b"LIST", b"JUNK", b"fact", b"bext", b"ds64", b"fmt ", b"data"]),
            prop::collection::vec(any::<u8>(), 0..40),
        ),
        0..6,
    );
    let tags = prop::sample::select(vec![1_u16, 2, 3, 6, 7, 0x11, 0x31, 0x55, 0xFFFE, 0x1234]);
    (
        tags,
        0_u16..9,
        any::<u32>(),
        prop::sample::select(vec![0_u16, 1, 4, 8, 12, 16, 20, 24, 32, 64, 65_535]),
        prop::option::of(any::<u32>()),
        chunks,
        any::<(bool, bool)>(),
        0_usize..9_000,
    )
        .prop_map(|(tag, channels, rate, bits, declared, before, (is_extensible, is_rf64), length)| {
            let wav = WavFile {
                declared,
                before,
                is_extensible,
                is_rf64,
                ..WavFile::raw(tag, channels, rate, bits, vec![1; length])
            };
            wav.bytes()
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes(bytes in prop::collection::vec(any::<u8>(), 0..6_000)) {
        check(&bytes, bytes.len() as u64)?;
    }

    #[test]
    fn arbitrary_bytes_behind_a_signature(mut bytes in prop::collection::vec(any::<u8>(), 12..6_000), rf64: bool) {
        bytes[..4].copy_from_slice(if rf64 { b"RF64" } else { b"RIFF" });
        bytes[8..12].copy_from_slice(b"WAVE");
        check(&bytes, bytes.len() as u64)?;
    }

    #[test]
    fn mutated_headers(
        mut bytes in header(),
        flips in prop::collection::vec((0_usize..200, any::<u8>()), 0..12),
        cut in prop::option::of(0_usize..10_000),
        claimed in prop::option::of(any::<u64>()),
    ) {
        for (at, value) in flips {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
        }
        bytes.truncate(cut.unwrap_or(bytes.len()));
        // The file may have changed between its size being asked and its bytes being read.
        check(&bytes, claimed.unwrap_or(bytes.len() as u64))?;
    }

    #[test]
    fn sound_headers_are_read_exactly(channels in 1_u16..9, rate in 1_u32..400_000, frames in 0_usize..3_000, junk in 0_usize..20_000) {
        let data = vec![7; frames * 2 * usize::from(channels)];
        let wav = WavFile { before: vec![(b"JUNK", vec![0; junk])], ..WavFile::raw(1, channels, rate, 16, data) };
        let bytes = wav.bytes();
        let read = walk(&bytes[..bytes.len().min(WINDOW)], bytes.len() as u64, &bytes[..]).expect("a sound file");
        prop_assert_eq!((read.format.channels, read.format.sample_rate, read.format.bits), (channels, rate, 16));
        prop_assert_eq!((read.declared_frames(), read.actual_frames()), (Some(frames as u64), Some(frames as u64)));
    }
}

#[test]
fn a_file_of_chunks_only_ends() {
    let mut bytes = WavFile::pcm16(8_000, 1, &[]).bytes()[..12].to_vec();
    for _ in 0..200_000 {
        bytes.extend(b"JUNK\0\0\0\0");
    }
    let file = Watched { bytes: &bytes, reads: Cell::new(0) };
    assert!(walk(&bytes[..WINDOW], bytes.len() as u64, &file).is_err());
    assert!(file.reads.get() <= MAX_READS + 1);
}
