//! Half a second of 440 Hz at half of full scale, as SoX wrote it in each compressed format: what was put in is what is found.

use crate::Place;
use raincheck_audio::{Status, Tier};
use std::fs;

#[test]
fn what_was_compressed_is_measured_as_it_was() {
    let place = Place::new();
    let put = |name: &str, bytes: &[u8]| fs::write(place.root().join(name), bytes).expect("write");
    put("tone.flac", include_bytes!("compressed/tone.flac"));
    put("tone.mp3", include_bytes!("compressed/tone.mp3"));
    put("tone.ogg", include_bytes!("compressed/tone.ogg"));
    let (summary, rows) = place.scan(Tier::Full);
    assert_eq!((summary.files, summary.ok, rows.len()), (3, 3, 3));
    for (row, container) in rows.iter().zip(["flac", "mp3", "ogg"]) {
        let (facts, signal) = (row.facts.as_ref().expect("facts"), row.signal.as_ref().expect("a signal"));
        assert_eq!(
            (row.status, &*facts.container, facts.sample_rate, facts.channels),
            (Status::Ok, container, 24_000, 1)
        );
        // MP3 pads the ends; nothing else may add or lose audio.
        let padding = if container == "mp3" { 0.1 } else { 0.0 };
        let longer = facts.duration_s.expect("a duration") - 0.5;
        assert!((0.0..=padding).contains(&longer), "{container}: {longer} s more");
        assert!((signal.peak - 0.5).abs() < 0.02, "{container}: {}", signal.peak);
        let rms = signal.rms_dbfs.expect("no silence");
        assert!((rms + 9.03).abs() < 1.0, "{container}: {rms} dBFS");
    }
}
