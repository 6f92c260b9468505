//! Known vulnerabilities of dependencies: the one check that needs something from outside, the RustSec database.
//!
//! A finding always fails. A database that cannot be reached is said plainly and fails nothing, for on a closed network
//! no change to the sources could mend it. A copy that was named and cannot be read does fail: somebody meant it.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::run::{Failure, command, run, run_within, say, succeeds};

/// Where cargo-deny gets the database from, as deny.toml names it.
const PUBLIC: &str = "https://github.com/rustsec/advisory-db";

/// Names a copy of the database to use instead.
const VARIABLE: &str = "RAINCHECK_ADVISORY_DB";

/// How long the network may take: one that drops packets answers nothing for minutes.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);

/// Fetches the database and checks the dependencies against it.
pub(crate) fn check(deny: &Path) -> Result<(), Failure> {
    if !succeeds(Command::new("git").arg("--version")) {
        return Err(Failure::usage("git is missing; cargo-deny fetches the advisory database with it"));
    }
    let copy = std::env::var(VARIABLE).ok().filter(|copy| !copy.is_empty());
    let copy = copy.as_deref();
    say(format_args!("fetching the advisory database from {}", copy.unwrap_or(PUBLIC)));
    if let Err(failure) = answers(copy) {
        return match copy {
            Some(_) => {
                Err(Failure::failed(format!("{failure}\n{VARIABLE} is to name a git repository with a branch main")))
            }
            None => {
                tell_unchecked(&failure);
                Ok(())
            }
        };
    }
    run(
        use_copy(command(deny).args(["check", "advisories"]), copy),
        "update the crate; where that is not possible yet, an ignore in deny.toml with its reason",
    )
}

/// Whether the repository can be reached at all, which tells a closed network from a fault.
fn answers(copy: Option<&str>) -> Result<(), Failure> {
    let mut ask = command("git");
    ask.args(["ls-remote", "--exit-code", PUBLIC, "refs/heads/main"]);
    run_within(use_copy(&mut ask, copy), ANSWER_LIMIT, "the advisory database does not answer")
}

/// Points git, which cargo-deny fetches with, from the public address to the copy.
fn use_copy<'c>(git: &'c mut Command, copy: Option<&str>) -> &'c mut Command {
    // Ask no password on a terminal: a prompt would look like a hang.
    git.env("GIT_TERMINAL_PROMPT", "0");
    if let Some(copy) = copy {
        git.env("GIT_CONFIG_COUNT", "1")
            .env("GIT_CONFIG_KEY_0", format!("url.{copy}.insteadOf"))
            .env("GIT_CONFIG_VALUE_0", PUBLIC);
    }
    git
}

fn tell_unchecked(failure: &Failure) {
    say(format_args!(
        "NOT CHECKED: the dependencies were not checked for known vulnerabilities, because the advisory database \
         was not reachable.\n  {failure}\n  Bans, licences and sources were checked. To check advisories here, set \
         {VARIABLE} to a copy of {PUBLIC} (the path or URL of a git repository)."
    ));
}
