//! Promise: what was answered with a 202 (or seen as cancelled or ended) survives a power cut at any moment.
//!
//! Every write, sync and answer of a real server is recorded; then the power is cut in replay, again and again, at points
//! drawn by chance. What was synced is there; what was not is dropped, kept, torn at sectors of 512 bytes or reordered. Each
//! image of the disk that could be left is opened with the real store and held against what clients had been told by then.

mod check;
mod disk;
mod record;
mod trace;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use rand::RngExt;
use rand::rngs::StdRng;
use tempfile::TempDir;

use self::check::Acknowledged;
use self::disk::{Disk, Fate, Image, Lie};
use self::record::{Recording, record};
use self::trace::Op;
use super::job;
use super::server::Launch;
use super::trial::{chance, rounds};
use crate::support::Place;

/// A cut: what was left on the disk, and what had been told.
struct Cut {
    point: usize,
    fate: Fate,
    image: Image,
    acknowledged: Acknowledged,
}

/// Replays the recording and cuts the power at `count` points.
fn cuts(recording: &Recording, lie: Lie, count: usize, chance: &mut StdRng, mut take: impl FnMut(Cut)) {
    let ops = &recording.ops;
    // Most in the lives of small jobs: their images are small, and they have more answers for every write.
    let mut points: Vec<usize> = (0..count)
        .map(|number| chance.random_range(1..=if number % 4 == 0 { ops.len() } else { recording.small }))
        .collect();
    points.sort_unstable();
    let (mut disk, mut acknowledged, mut done) = (Disk::new(lie), Acknowledged::default(), 0);
    for point in points {
        for op in &ops[done..point] {
            disk.apply(op);
            if let Op::Told(told) = op {
                acknowledged.tell(told);
            }
        }
        done = point;
        let fate = Fate::draw(chance);
        take(Cut { point, fate, image: disk.image(fate, chance), acknowledged: acknowledged.clone() });
    }
}

/// Images are opened on a file system in memory, where there is one: what a sync of theirs costs is of no interest.
fn scratch() -> TempDir {
    let memory = Path::new("/dev/shm");
    let parent = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    TempDir::with_prefix_in("raincheck-image-", parent).expect("a temporary directory")
}

/// Opens the images as they come; gives how many there were and what was wrong with them.
fn check_all(recording: &Recording, lie: Lie, count: usize) -> (usize, Vec<String>) {
    let faults = Mutex::new(Vec::new());
    let (cut, taken) = sync_channel::<Cut>(2);
    let taken = Mutex::new(taken);
    let checked = thread::scope(|scope| {
        let checkers: Vec<_> = (0..2).map(|_| scope.spawn(|| check_some(&taken, &faults))).collect();
        cuts(recording, lie, count, &mut chance(12), |image| cut.send(image).expect("a checker"));
        drop(cut);
        checkers.into_iter().map(|checker| checker.join().expect("a checker")).sum()
    });
    (checked, faults.into_inner().expect("lock"))
}

fn check_some(taken: &Mutex<Receiver<Cut>>, faults: &Mutex<Vec<String>>) -> usize {
    let mut checked = 0;
    loop {
        let next = taken.lock().expect("lock").recv();
        let Ok(Cut { point, fate, image, acknowledged }) = next else { return checked };
        let directory = scratch();
        image.write(directory.path());
        if let Err(fault) = check::check(directory.path(), &acknowledged) {
            faults.lock().expect("lock").push(format!("power cut at {point}, {fate:?}: {fault}"));
        }
        checked += 1;
    }
}

#[test]
fn nothing_acknowledged_is_missing_after_any_power_cut() {
    let recording = record();
    let told = recording.ops.iter().filter(|op| matches!(op, Op::Told(_))).count();
    let (checked, faults) = check_all(&recording, Lie::None, rounds(400));
    println!("{} operations and {told} answers recorded; {checked} power cuts", recording.ops.len());
    assert!(faults.is_empty(), "{} of {checked} power cuts did harm:\n{}", faults.len(), faults.join("\n"));

    let booted = rounds(4);
    boot(&recording, booted);
    println!("{booted} images taken up by the server, with every key asked for again");

    // The same images, had the disk or the settings lied about a sync: if these did no harm, nothing above would prove
    // anything.
    for (lie, what) in [(Lie::NoWalSync, "the log"), (Lie::NoDatabaseSync, "the database")] {
        let (checked, faults) = check_all(&recording, lie, 40);
        println!("without syncs of {what}: {} of {checked} power cuts did harm", faults.len());
        assert!(!faults.is_empty(), "the check is blind: nothing is missing without syncs of {what}");
    }
}

/// Starts the real server on some of the images, asks for every job again under its key and waits for all to end.
fn boot(recording: &Recording, count: usize) {
    let mut images = Vec::new();
    cuts(recording, Lie::None, count, &mut chance(13), |cut| images.push(cut));
    for Cut { point, fate, image, acknowledged } in images {
        let place = Place::new();
        let data: PathBuf = place.path().join("image");
        std::fs::create_dir(&data).expect("make a directory");
        image.write(&data);
        let server = Launch::at(&place).on(&data).start();
        let mut http = server.http();
        let mut ids = BTreeMap::new();
        for (id, (key, body)) in &recording.requests {
            let again = http.submit(key, body).expect("an answer").id();
            if acknowledged.contains(id) {
                assert_eq!(again, *id, "power cut at {point}, {fate:?}: the key of an accepted job gives another");
            }
            ids.insert(again, ());
        }
        for id in job::all(&mut http) {
            job::check_ended(&mut http, &id);
        }
        assert_eq!(ids.len(), recording.requests.len());
    }
}
