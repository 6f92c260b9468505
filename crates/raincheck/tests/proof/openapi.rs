//! Promise: the API does what /openapi.json says, and nothing that the document allows makes it fail: schemathesis tries
//! every operation and sequences of them, with requests that fit the document and requests that do not.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::server::Launch;
use super::trial::rounds;
use crate::support::Place;

/// Names a Python with what tests/requirements.txt pins, if it is not that in target/venv, which `cargo xtask test` makes.
const PYTHON: &str = "RAINCHECK_TEST_PYTHON";

/// Left out: `positive_data_acceptance`, because a document cannot say everything that a request must be (that a kind is
/// there, that `run_at` and `delay` exclude each other); refusals of that sort are held by crates/api/tests.
const CHECKS_LEFT_OUT: &str = "positive_data_acceptance";

#[test]
fn schemathesis_finds_nothing() {
    let made = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("venv").join("bin/python");
    let python = std::env::var_os(PYTHON).map_or(made, PathBuf::from);
    assert!(python.exists(), "no {}: run `cargo xtask test`, which makes it", python.display());
    let place = Place::new();
    // Requests ask to wait for jobs of queues that other requests paused; an hour of that would show nothing new.
    let mut server = Launch::at(&place).with("LIMITS_WAIT", "2s").start();
    let mut schemathesis = Command::new(python);
    schemathesis.args(["-m", "schemathesis.cli", "run"]).arg(format!("http://{}/openapi.json", server.address()));
    schemathesis.args(["--checks", "all", "--exclude-checks", CHECKS_LEFT_OUT, "--generation-deterministic"]);
    schemathesis.args(["--phases", "examples,coverage,fuzzing,stateful", "--max-examples", &rounds(12).to_string()]);
    schemathesis.args(["--request-timeout", "10", "--warnings", "off", "--no-color"]).current_dir(place.path());
    let output = schemathesis.output().expect("run schemathesis");
    let report = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{report}{}", String::from_utf8_lossy(&output.stderr));
    assert!(server.is_alive() && !server.log().contains("panicked"), "{}", server.log());
    let summary = report.split_once("SUMMARY").map_or(&*report, |(_, summary)| summary);
    println!(
        "{}",
        summary.lines().filter(|line| line.contains("generated") || line.contains("Tested")).collect::<String>()
    );
}
