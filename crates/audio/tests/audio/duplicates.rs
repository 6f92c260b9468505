//! The same file twice, and the same audio behind another header.

use crate::Place;
use raincheck_audio::Tier;
use raincheck_audio::fixtures::{Dice, WavFile, speech};
use std::fs;

#[test]
fn both_sorts_are_found_and_told_apart() {
    let place = Place::new();
    let wav = |seed: u64| WavFile::pcm16(24_000, 1, &speech(&mut Dice::new(seed), 24_000, 12_000));
    let tagged = WavFile { after: vec![(b"LIST", b"INFOICMT".to_vec())], ..wav(1) };
    let put = |name: &str, wav: &WavFile| fs::write(place.root().join(name), wav.bytes()).expect("write");
    put("a.wav", &wav(1));
    put("b.wav", &wav(1));
    put("c.wav", &tagged);
    put("d.wav", &wav(2));
    put("e.wav", &wav(1));
    put("f.wav", &WavFile::pcm16(24_000, 1, &[]));
    put("g.wav", &WavFile { before: vec![(b"JUNK", vec![0; 2])], ..WavFile::pcm16(24_000, 1, &[]) });
    let (summary, rows) = place.scan(Tier::Standard);
    let same: Vec<_> = rows.iter().map(|row| row.duplicate_of.as_deref()).collect();
    assert_eq!(same, [None, Some("a.wav"), None, None, Some("a.wav"), None, None]);
    let same_audio: Vec<_> = rows.iter().map(|row| row.audio_duplicate_of.as_deref()).collect();
    assert_eq!(same_audio, [None, None, Some("a.wav"), None, None, None, None], "files without audio are not alike");
    assert_eq!((summary.duplicates.count, summary.duplicates.redundant, summary.duplicates.is_complete), (1, 2, true));
    assert_eq!(summary.duplicates.listed[0].paths, ["a.wav", "b.wav", "e.wav"]);
    assert_eq!((summary.audio_duplicates.count, summary.audio_duplicates.redundant), (1, 1));
    assert_eq!(summary.audio_duplicates.listed[0].paths, ["a.wav", "c.wav"]);
}
