//! The example, as a program of its own: killed with SIGKILL and started again.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::{Place, Server, get, post};

/// Cargo builds examples with the tests of their crate, beside its programs.
fn example(place: &Place) -> Server {
    let built = Path::new(env!("CARGO_BIN_EXE_raincheck")).with_file_name("examples").join("embedded");
    assert!(built.is_file(), "{} is missing: cargo build -p raincheck --examples", built.display());
    let mut command = Command::new(built);
    command.arg("127.0.0.1:0").arg(place.data()).stdin(Stdio::null());
    Server::spawn(place, command)
}

#[test]
fn the_example_survives_being_killed_and_writes_no_chapter_twice() {
    let place = Place::new();
    let program = example(&place);
    assert_eq!(get(program.address, "/health").body, "fine");
    let refused = post(program.address, "/reports", r#"{"title": "Rain", "chapters": "three"}"#);
    assert_eq!((refused.status, refused.json()["pointer"].as_str()), (422, Some("/input/chapters")));
    let accepted = post(program.address, "/reports", r#"{"title": "Rain", "chapters": 3}"#);
    assert_eq!(accepted.status, 202, "{accepted:?}");
    let watch = accepted.json()["watch"].as_str().expect("where it is watched").to_owned();
    crate::support::read_until(program.address, &format!("{watch}/events"), "event: step");
    program.kill();

    let program = example(&place);
    let report = get(program.address, &format!("{watch}/result?wait=30")).json();
    assert_eq!(report["chapters"].as_array().map(Vec::len), Some(3), "{report}");
    let log = std::fs::read_to_string(place.log()).expect("a log");
    let written = |number: u8| log.matches(&format!("writing chapter {number} ")).count();
    assert_eq!(written(1), 1, "the recorded chapter is not written again: {log}");
    assert!(written(2) <= 2 && written(3) == 1, "{log}");
    program.signal(rustix::process::Signal::INT);
    assert!(program.wait().success(), "Ctrl-C stops it in order");
}
