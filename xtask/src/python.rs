//! The Python environment of the tests and benchmarks: target/venv, with exactly what tests/requirements.txt pins.

use std::fs::{self, File, TryLockError};
use std::path::PathBuf;
use std::process::Command;

use crate::place;
use crate::run::{Failure, command, run, say, succeeds};

/// The variable by which a test or benchmark finds the environment's interpreter.
pub(crate) const VARIABLE: &str = "RAINCHECK_TEST_PYTHON";

/// The environment's interpreter; makes the environment when there is none of these requirements.
pub(crate) fn prepare() -> Result<PathBuf, Failure> {
    let venv = place::target().join("venv");
    let python = venv.join("bin/python");
    let stamp = venv.join("made-from.txt");
    let wanted = wanted()?;

    let _lock = lock()?;
    let made_from = fs::read_to_string(&stamp).unwrap_or_default();
    if made_from == wanted && succeeds(Command::new(&python).arg("--version")) {
        return Ok(python);
    }
    say("making the Python environment target/venv (about half a minute)");
    run(
        command("python3").args(["-m", "venv", "--clear"]).arg(&venv),
        "the tests need CPython 3.11 or newer with its venv module (Debian: python3-venv)",
    )?;
    // Wheels only: a source package would need a compiler, and run its own code to be built.
    run(
        command(&python).args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--only-binary=:all:",
            "-r",
            "tests/requirements.txt",
        ]),
        "the pins of tests/requirements.txt need CPython 3.11 or newer and a package index that can be reached",
    )?;
    // Last, so that an environment left half made is not taken for a whole one.
    fs::write(&stamp, wanted)
        .map_err(|error| Failure::failed(format!("failed to write {}: {error}", stamp.display())))?;
    Ok(python)
}

/// What the environment is made from: the interpreter's version and the requirements, word for word.
fn wanted() -> Result<String, Failure> {
    const NEXT: &str = "the tests need CPython 3.11 or newer (Debian: python3-venv)";
    let version = Command::new("python3")
        .arg("--version")
        .output()
        .map_err(|error| Failure::usage(format!("failed to run python3: {error}; {NEXT}")))?;
    let path = place::root().join("tests/requirements.txt");
    let requirements = fs::read_to_string(&path)
        .map_err(|error| Failure::failed(format!("failed to read {}: {error}", path.display())))?;
    Ok(format!("{}{requirements}", String::from_utf8_lossy(&version.stdout)))
}

/// Keeps two chores in one checkout from making the environment at the same time. Unlocks when dropped.
fn lock() -> Result<File, Failure> {
    let path = place::target().join("venv.lock");
    let failed = |error| Failure::failed(format!("failed to lock {}: {error}", path.display()));
    fs::create_dir_all(place::target()).map_err(failed)?;
    let file = File::create(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            say("waiting for another chore that is making the Python environment");
            file.lock().map_err(failed)?;
        }
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    Ok(file)
}
