//! A rescan reads only what changed, and an interrupted scan continues.

use crate::{Place, rows};
use raincheck_audio::fixtures::{Dice, Plan, WavFile, library, speech};
use raincheck_audio::{Control, Options, ScanError, Tier, scan};
use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};

const PLAN: Plan = Plan { files: 40, seed: 5, shortest_ms: 100, longest_ms: 200, files_per_chapter: 10 };

fn again(place: &Place, tier: Tier) -> Options {
    Options { previous: Some(place.manifest()), ..place.options(tier) }
}

#[test]
fn one_changed_one_deleted_one_added() {
    let place = Place::new();
    let made = library(&place.root(), &PLAN).expect("fixtures");
    let (_, before) = place.scan(Tier::Full);
    let (summary, unchanged) = place.scan_with(&again(&place, Tier::Full));
    assert_eq!((summary.reused, summary.removed.count), (40, 0));
    assert_eq!(unchanged, before);

    let wav = |seed: u64| WavFile::pcm16(16_000, 1, &speech(&mut Dice::new(seed), 16_000, 8_000)).bytes();
    fs::write(place.root().join(&made.files[3]), wav(1)).expect("change");
    fs::remove_file(place.root().join(&made.files[7])).expect("delete");
    fs::write(place.root().join("new.wav"), wav(2)).expect("add");
    let (summary, after) = place.scan_with(&again(&place, Tier::Full));
    assert_eq!((summary.files, summary.reused), (40, 38));
    assert_eq!(summary.removed.listed, [made.files[7].to_str().expect("utf-8")]);
    assert_eq!(summary.sample_rates.counts[&16_000], 2);
    // Two scans, one from nothing and one from history, agree.
    let (_, fresh) = place.scan(Tier::Full);
    assert_eq!(after, fresh);
}

#[test]
fn a_changed_transcript_is_a_change() {
    let place = Place::new();
    let made = library(&place.root(), &PLAN).expect("fixtures");
    place.scan(Tier::Standard);
    fs::write(place.root().join(&made.files[0]).with_extension("normalized.txt"), "quite other words than before")
        .expect("write");
    let (summary, rows) = place.scan_with(&again(&place, Tier::Standard));
    assert_eq!(summary.reused, 39);
    assert_eq!(rows[0].transcript.as_ref().map(|transcript| transcript.text()), Some("quite other words than before"));
}

#[test]
fn a_higher_tier_reads_again_and_a_lower_one_keeps_what_is_known() {
    let place = Place::new();
    library(&place.root(), &PLAN).expect("fixtures");
    place.scan(Tier::Quick);
    assert_eq!(place.scan_with(&again(&place, Tier::Full)).0.reused, 0);
    let (summary, rows) = place.scan_with(&again(&place, Tier::Quick));
    assert_eq!(summary.reused, 40);
    assert!(rows.iter().all(|row| row.tier == Tier::Full && row.signal.is_some()));
}

/// Says stop once it has been asked so often: before every file, and in every file that is read.
struct StopAtQuestion {
    asked: AtomicU64,
    limit: u64,
}

impl Control for StopAtQuestion {
    fn progress(&self, _current: u64, _total: u64) {}

    fn cancelled(&self) -> bool {
        self.asked.fetch_add(1, Ordering::SeqCst) >= self.limit
    }
}

#[test]
fn an_interrupted_scan_continues_where_it_stopped() {
    let place = Place::new();
    library(&place.root(), &PLAN).expect("fixtures");
    // One worker: with several, it would be chance which files the questions are asked about.
    let options = Options { threads: std::num::NonZeroUsize::MIN, ..place.options(Tier::Full) };
    let mut reached = 0;
    for questions in [40, 60] {
        let control = StopAtQuestion { asked: AtomicU64::new(0), limit: questions };
        let Err(ScanError::Cancelled { partial }) = scan(&place.root(), &options, &control) else {
            panic!("not cancelled")
        };
        assert!(partial.is_partial && partial.files > reached && partial.files < 40, "{}", partial.files);
        assert!(partial.reused >= reached, "what the earlier attempt read is not read again");
        assert!(!options.manifest.exists(), "half a manifest never stands under the name of a whole one");
        reached = partial.files;
    }
    // A process that was killed leaves a torn last line.
    let torn = place.manifest().with_extension("jsonl.partial");
    let text = fs::read(&torn).expect("the partial manifest");
    fs::write(&torn, &text[..text.len() - 10]).expect("tear");
    let (summary, resumed) = place.scan_with(&options);
    assert!(summary.reused >= reached - 1 && summary.reused < 40, "{} of {reached}", summary.reused);
    let (_, fresh) = place.scan_with(&options);
    assert_eq!(resumed, fresh);
    assert_eq!(fs::read_dir(place.directory.path()).expect("list").count(), 2, "no left-overs");
}

#[test]
fn two_scans_do_not_write_one_manifest() {
    let place = Place::new();
    library(&place.root(), &PLAN).expect("fixtures");
    struct Nested<'a>(&'a Place, std::sync::Mutex<Option<bool>>);
    impl Control for Nested<'_> {
        fn progress(&self, current: u64, _total: u64) {
            if current == 0 {
                let second = scan(&self.0.root(), &self.0.options(Tier::Quick), &());
                *self.1.lock().expect("lock") = Some(matches!(second, Err(ScanError::Busy(_))));
            }
        }
        fn cancelled(&self) -> bool {
            false
        }
    }
    let nested = Nested(&place, std::sync::Mutex::new(None));
    scan(&place.root(), &place.options(Tier::Quick), &nested).expect("the first scan");
    assert_eq!(*nested.1.lock().expect("lock"), Some(true));
    assert_eq!(rows(&place.manifest()).len(), 40);
}
