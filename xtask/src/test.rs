//! `cargo xtask test`: everything the tests need, then all tests. The runner's closing line is the last line printed.

use std::path::Path;

use crate::run::{Failure, command, run, say};
use crate::{packages, place, python, sdks, tools};

/// Every package with every feature: no test hides behind a feature that nobody turns on.
const EVERYTHING: [&str; 2] = ["--workspace", "--all-features"];

/// Prepares and runs the tests; `args` but our own flag go to nextest.
pub(crate) fn test(args: &[String]) -> Result<(), Failure> {
    let (ours, theirs): (Vec<_>, Vec<_>) = args.iter().partition(|arg| *arg == "--without-packages");
    let nextest = tools::find_or_install(&tools::NEXTEST)?;
    packages::prepare(!ours.is_empty())?;
    let python = python::prepare()?;
    sdks::prepare()?;

    // Doc tests first, for nextest does not run them and its summary is to come last.
    if theirs.is_empty() {
        doc_tests(&python)?;
    } else {
        say("arguments given: the doc tests are left out");
    }
    let mut tests = command(nextest);
    tests.args(["nextest", "run"]).args(selection(&theirs)).args(theirs).env(python::VARIABLE, &python);
    run(&mut tests, "one test alone, with its output: cargo xtask test --no-capture NAME")
}

fn doc_tests(python: &Path) -> Result<(), Failure> {
    let mut doc = command(place::cargo());
    doc.args(["test", "--quiet", "--doc"]).args(EVERYTHING).env(python::VARIABLE, python);
    run(&mut doc, "a code block in a doc comment does not hold")
}

/// All packages, unless the caller names some: cargo refuses `--workspace` beside `--package`.
fn selection(args: &[&String]) -> &'static [&'static str] {
    let names_packages = args
        .iter()
        .any(|arg| ["-p", "--package", "--workspace"].contains(&arg.as_str()) || arg.starts_with("--package="));
    if names_packages { &EVERYTHING[1..] } else { &EVERYTHING }
}

#[cfg(test)]
mod tests {
    use super::selection;

    fn selected(args: &[&str]) -> &'static [&'static str] {
        let args: Vec<String> = args.iter().map(ToString::to_string).collect();
        selection(&args.iter().collect::<Vec<_>>())
    }

    #[test]
    fn all_packages_are_tested_unless_some_are_named() {
        assert_eq!(selected(&[]), ["--workspace", "--all-features"]);
        assert_eq!(selected(&["--no-capture", "retry"]), ["--workspace", "--all-features"]);
        assert_eq!(selected(&["-p", "raincheck-core"]), ["--all-features"]);
        assert_eq!(selected(&["--package=raincheck-core"]), ["--all-features"]);
    }
}
