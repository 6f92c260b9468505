//! Every bad file is a row with its own code, and the scan goes on.

use crate::{Place, codes};
use raincheck_audio::fixtures::bad_files;
use raincheck_audio::path::unescape;
use raincheck_audio::{Code, Status, Tier};
use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;

#[test]
fn each_is_reported_as_what_it_is() {
    let place = Place::new();
    let expected = bad_files(&place.root()).expect("fixtures");
    let (summary, rows) = place.scan(Tier::Full);
    let by_name: BTreeMap<Vec<u8>, _> =
        rows.iter().map(|row| (unescape(&row.path, row.path_escaped).into_owned(), row)).collect();
    for bad in &expected {
        let row = by_name.get(bad.name.as_bytes()).unwrap_or_else(|| panic!("no row for {:?}", bad.name));
        let mut wanted = bad.codes.clone();
        wanted.sort_unstable();
        assert_eq!(codes(row), wanted, "{:?}: {:?}", bad.name, row.issues);
        assert_eq!(row.facts.as_ref().and_then(|facts| facts.actual_frames), bad.frames, "{:?}", bad.name);
    }
    assert_eq!(rows.len(), expected.len());
    assert_eq!(summary.files, expected.len() as u64);
    assert_eq!(summary.files, summary.ok + summary.warnings + summary.errors);
    let count = |status: Status| rows.iter().filter(|row| row.status == status).count() as u64;
    assert_eq!(
        (summary.ok, summary.warnings, summary.errors),
        (count(Status::Ok), count(Status::Warning), count(Status::Error))
    );
    assert_eq!(summary.issues["invalid_header"], 4);
    assert_eq!(summary.issues["truncated"], 1);
}

#[test]
fn the_quick_tier_finds_everything_that_the_header_tells() {
    let place = Place::new();
    let expected = bad_files(&place.root()).expect("fixtures");
    let (_, rows) = place.scan(Tier::Quick);
    let heard = [Code::Silent, Code::Clipped, Code::NotFinite];
    for bad in expected {
        let row =
            rows.iter().find(|row| *unescape(&row.path, row.path_escaped) == *bad.name.as_bytes()).expect("a row");
        let mut wanted: Vec<Code> = bad.codes.into_iter().filter(|code| !heard.contains(code)).collect();
        wanted.sort_unstable();
        assert_eq!(codes(row), wanted, "{:?}", bad.name);
        assert!(row.sha256.is_none() && row.signal.is_none());
    }
}

#[test]
fn truncation_shows_both_counts() {
    let place = Place::new();
    bad_files(&place.root()).expect("fixtures");
    let (_, rows) = place.scan(Tier::Quick);
    let facts = rows.iter().find(|row| row.path == "truncated.wav").and_then(|row| row.facts.clone()).expect("facts");
    assert_eq!((facts.declared_frames, facts.actual_frames), (Some(23_993), Some(9_978)));
}

#[test]
fn an_unreadable_directory_or_file_is_reported() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    let closed = place.root().join("closed");
    std::fs::create_dir(&closed).expect("create");
    let file = place.root().join("secret.wav");
    std::fs::write(&file, b"RIFF").expect("write");
    for path in [&closed, &file] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o000)).expect("chmod");
    }
    let is_root = std::fs::read(&file).is_ok();
    let (summary, rows) = place.scan(Tier::Quick);
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o700)).expect("chmod");
    if is_root {
        // Nothing is unreadable to the superuser.
        return;
    }
    assert_eq!(codes(&rows[0]), [Code::Unreadable]);
    assert_eq!(summary.faults.listed[0].code, "directory_unreadable");
}
