//! Speech, as far as files of it go.

use std::path::Path;

use tempfile::TempDir;

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

/// A tenth of a second of PCM.
fn wave(number: u16) -> Vec<u8> {
    let samples: Vec<u8> = (0..1_600_u16).flat_map(|at| (at.wrapping_mul(number) % 5_000).to_le_bytes()).collect();
    let size = u32::try_from(samples.len()).expect("small");
    let mut wave = b"RIFF".to_vec();
    wave.extend((36 + size).to_le_bytes());
    wave.extend(b"WAVEfmt ");
    wave.extend(16_u32.to_le_bytes());
    wave.extend([1, 0, 1, 0]);
    wave.extend(16_000_u32.to_le_bytes());
    wave.extend(32_000_u32.to_le_bytes());
    wave.extend([2, 0, 16, 0]);
    wave.extend(b"data");
    wave.extend(size.to_le_bytes());
    wave.extend(samples);
    wave
}
