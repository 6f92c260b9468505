//! A scan ends within a second of being told so, in the middle of a file too, and notices when its directory goes.

use crate::Place;
use raincheck_audio::fixtures::{Dice, Plan, WavFile, library, speech};
use raincheck_audio::{Control, ScanError, Tier, scan};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Says stop at the nth question, and remembers when.
struct StopAtQuestion {
    asked: AtomicU64,
    limit: u64,
    since: Mutex<Option<Instant>>,
}

impl Control for StopAtQuestion {
    fn progress(&self, _current: u64, _total: u64) {}

    #[expect(clippy::disallowed_methods, reason = "the promise is about real time")]
    fn cancelled(&self) -> bool {
        let stop = self.asked.fetch_add(1, Ordering::SeqCst) >= self.limit;
        if stop {
            self.since.lock().expect("lock").get_or_insert_with(Instant::now);
        }
        stop
    }
}

#[test]
fn in_the_middle_of_a_long_file() {
    let place = Place::new();
    // Ten minutes of audio: seconds of work in a debug build.
    let minute = speech(&mut Dice::new(1), 24_000, 24_000 * 60).repeat(10);
    std::fs::write(place.root().join("long.wav"), WavFile::pcm16(24_000, 1, &minute).bytes()).expect("write");
    let control = StopAtQuestion { asked: AtomicU64::new(0), limit: 20, since: Mutex::new(None) };
    let outcome = scan(&place.root(), &place.options(Tier::Full), &control);
    let Err(ScanError::Cancelled { partial }) = outcome else { panic!("{outcome:?}") };
    assert_eq!(partial.files, 0, "a file that was not finished has no row");
    let since = control.since.lock().expect("lock").expect("was asked");
    assert!(since.elapsed() < Duration::from_secs(1), "{:?}", since.elapsed());
}

#[test]
fn before_anything_is_done() {
    let place = Place::new();
    library(&place.root(), &Plan { longest_ms: 1_100, ..Plan::new(5) }).expect("fixtures");
    let control = StopAtQuestion { asked: AtomicU64::new(0), limit: 0, since: Mutex::new(None) };
    assert!(matches!(scan(&place.root(), &place.options(Tier::Quick), &control), Err(ScanError::Cancelled { .. })));
}

/// Removes the directory as soon as the files are counted; progress must not fall.
struct Remove<'a>(&'a Place, AtomicU64);

impl Control for Remove<'_> {
    fn progress(&self, current: u64, total: u64) {
        assert!(current >= self.1.swap(current, Ordering::SeqCst) && current <= total);
        if current == 0 {
            std::fs::remove_dir_all(self.0.root()).expect("remove");
        }
    }

    fn cancelled(&self) -> bool {
        false
    }
}

#[test]
fn a_directory_that_vanishes_fails_the_scan_with_counts() {
    let place = Place::new();
    library(&place.root(), &Plan { longest_ms: 1_100, ..Plan::new(5) }).expect("fixtures");
    let outcome = scan(&place.root(), &place.options(Tier::Quick), &Remove(&place, AtomicU64::new(0)));
    let Err(ScanError::RootVanished { partial }) = outcome else { panic!("{outcome:?}") };
    assert!(partial.is_partial);
}
