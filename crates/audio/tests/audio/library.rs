//! A LibriTTS tree is recognised at any level, with what its tables say.

use crate::{Place, codes};
use raincheck_audio::fixtures::{Plan, library};
use raincheck_audio::{Code, Level, Options, Source, Tier, scan};
use std::fs;

const PLAN: Plan = Plan { files: 30, seed: 3, shortest_ms: 300, longest_ms: 900, files_per_chapter: 8 };

#[test]
fn facts_speakers_and_transcripts_are_found() {
    let place = Place::new();
    let made = library(&place.root(), &PLAN).expect("fixtures");
    let (summary, rows) = place.scan(Tier::Full);
    assert_eq!((summary.files, summary.ok), (30, 30), "{:?}", summary.issues);
    assert!((summary.hours * 3600.0 - made.seconds).abs() < 0.01);
    assert_eq!(summary.layout.as_ref().map(|layout| (layout.level, layout.recognised)), Some((Level::Root, 30)));
    assert_eq!((summary.speakers.count, summary.speakers.listed.len()), (made.speakers as u64, made.speakers));
    let first = &summary.speakers.listed[0];
    assert_eq!((first.id.as_str(), first.gender.as_deref(), first.files), ("1000", Some("F"), 16));
    assert_eq!(summary.speakers.listed[1].gender.as_deref(), Some("F"));
    assert_eq!(summary.formats.counts["riff/pcm_s16"], 30);
    let paths: Vec<_> = rows.iter().map(|row| std::path::PathBuf::from(&row.path)).collect();
    assert_eq!(paths, made.files, "rows are in the order of the walk");
    for row in &rows {
        let (utterance, transcript, signal) = (
            row.utterance.as_ref().expect("ids"),
            row.transcript.as_ref().expect("text"),
            row.signal.as_ref().expect("signal"),
        );
        assert_eq!(utterance.subset.as_deref(), Some("dev-clean"));
        assert!(utterance.stated_snr_db.is_some_and(|snr| (15.0..55.0).contains(&snr)));
        assert_eq!(transcript.source, Source::Sidecar);
        assert_eq!(
            signal.lufs.is_some(),
            row.facts.as_ref().and_then(|facts| facts.duration_s).expect("a duration") >= 0.4
        );
        assert!(signal.chars_per_second.is_some_and(|pace| pace > 0.0));
        assert!(row.sha256.is_some() && row.audio_sha256.is_some() && row.sha256 != row.audio_sha256);
    }
}

#[test]
fn the_level_does_not_matter() {
    let place = Place::new();
    library(&place.root(), &PLAN).expect("fixtures");
    let levels =
        [("dev-clean", Level::Subset), ("dev-clean/1000", Level::Speaker), ("dev-clean/1000/100000", Level::Chapter)];
    for (below, level) in levels {
        let root = place.root().join(below);
        let summary = scan(&root, &place.options(Tier::Quick), &()).expect("a scan");
        assert_eq!(summary.layout.map(|layout| layout.level), Some(level));
        assert_eq!(summary.speakers.listed[0].gender, None, "tables above are not read unless allowed");
        let options = Options { tables_below: Some(place.root()), ..place.options(Tier::Quick) };
        let summary = scan(&root, &options, &()).expect("a scan");
        assert_eq!(summary.speakers.listed[0].gender.as_deref(), Some("F"), "{below}");
    }
}

#[test]
fn audio_and_text_without_each_other_are_orphans() {
    let place = Place::new();
    library(&place.root(), &PLAN).expect("fixtures");
    let chapter = place.root().join("dev-clean/1000/100000");
    let name = |end: &str| chapter.join(format!("1000_100000_000000_00000{end}"));
    fs::remove_file(name("1.wav")).expect("remove");
    let stranger = chapter.join("1000_100000_000099_000000.wav");
    fs::copy(name("0.wav"), &stranger).expect("copy");
    fs::write(name("2.normalized.txt"), "other words").expect("write");
    fs::write(name("3.normalized.txt"), b"\xFF\xFE").expect("write");
    let (summary, rows) = place.scan(Tier::Standard);
    let orphans = &summary.orphans;
    assert_eq!(orphans.audio_without_text.listed, ["dev-clean/1000/100000/1000_100000_000099_000000.wav"]);
    assert_eq!(orphans.text_without_audio.listed, ["dev-clean/1000/100000/1000_100000_000000_000001"]);
    assert_eq!(orphans.table_row_without_audio.listed, ["dev-clean/1000/100000/1000_100000_000000_000001"]);
    let of = |end: &str| rows.iter().find(|row| row.path.ends_with(end)).map(codes).expect("a row");
    assert_eq!(of("000000_000002.wav"), [Code::TranscriptMismatch]);
    assert_eq!(of("000000_000003.wav"), [Code::TranscriptUnreadable]);
}

#[test]
fn the_table_serves_where_there_is_no_text_beside_the_file() {
    let place = Place::new();
    let made = library(&place.root(), &PLAN).expect("fixtures");
    for file in &made.files {
        for ending in ["normalized.txt", "original.txt"] {
            fs::remove_file(place.root().join(file).with_extension(ending)).expect("remove");
        }
    }
    let (summary, rows) = place.scan(Tier::Standard);
    assert_eq!(summary.ok, 30);
    assert!(rows.iter().all(|row| row.transcript.as_ref().is_some_and(|text| text.source == Source::Table)));
}
