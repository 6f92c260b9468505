//! Speech, as far as files of it go.

use std::io::Write as _;
use std::path::Path;

use tempfile::TempDir;

/// How many bytes stand before the sound.
const HEADER: u64 = 44;
/// Five minutes of sound, in bytes.
const LONG: u32 = 300 * 32_000;

/// A directory below /tmp with so many sound files, and one that is damaged.
pub(crate) fn corpus(sound: u16) -> TempDir {
    let corpus = TempDir::with_prefix_in("raincheck-corpus-", "/tmp").expect("a directory");
    for number in 0..sound {
        write(corpus.path(), &format!("{number}.wav"), number);
    }
    std::fs::write(corpus.path().join("broken.wav"), "RIFF").expect("a file");
    corpus
}

/// Adds another sound file.
pub(crate) fn add(corpus: &Path, name: &str) {
    write(corpus, name, u16::MAX);
}

fn write(corpus: &Path, name: &str, number: u16) {
    std::fs::write(corpus.join(name), wave(number)).expect("a file");
}

/// A directory below /tmp with so many sound files that are minutes long. They are silent, so that they take no room; but it takes
/// its time to read them.
pub(crate) fn long_corpus(files: u16) -> TempDir {
    let corpus = TempDir::with_prefix_in("raincheck-corpus-", "/tmp").expect("a directory");
    for number in 0..files {
        let file = std::fs::File::create(corpus.path().join(format!("{number}.wav"))).expect("a file");
        (&file).write_all(&header(LONG)).expect("it can be written");
        file.set_len(u64::from(LONG) + HEADER).expect("it can grow");
    }
    corpus
}

/// A tenth of a second of PCM.
fn wave(number: u16) -> Vec<u8> {
    let samples: Vec<u8> = (0..1_600_u16).flat_map(|at| (at.wrapping_mul(number) % 5_000).to_le_bytes()).collect();
    let mut wave = header(u32::try_from(samples.len()).expect("small"));
    wave.extend(samples);
    wave
}

/// What stands before so many bytes of it.
fn header(bytes: u32) -> Vec<u8> {
    let mut header = b"RIFF".to_vec();
    header.extend((36 + bytes).to_le_bytes());
    header.extend(b"WAVEfmt ");
    header.extend(16_u32.to_le_bytes());
    header.extend([1, 0, 1, 0]);
    header.extend(16_000_u32.to_le_bytes());
    header.extend(32_000_u32.to_le_bytes());
    header.extend([2, 0, 16, 0]);
    header.extend(b"data");
    header.extend(bytes.to_le_bytes());
    header
}
