//! `cargo xtask lint`: what can be judged without running the program.

use crate::run::{Failure, command, run};
use crate::{advisories, place, tools};

/// Runs the named check, or all of them.
pub(crate) fn lint(args: &[String]) -> Result<(), Failure> {
    match args {
        [] => {
            format()?;
            clippy()?;
            deny()
        }
        [one] => match one.as_str() {
            "fmt" => format(),
            "clippy" => clippy(),
            "deny" => deny(),
            other => Err(Failure::usage(format!("there is no check \"{other}\": one of fmt, clippy, deny"))),
        },
        _ => Err(Failure::usage("lint takes one check or none: fmt, clippy, deny")),
    }
}

fn format() -> Result<(), Failure> {
    run(command(place::cargo()).args(["fmt", "--all", "--check"]), "format the sources: cargo fmt --all")
}

fn clippy() -> Result<(), Failure> {
    let mut clippy = command(place::cargo());
    clippy.args(["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"]);
    run(&mut clippy, "mend what clippy names; an exception is an #[expect(..., reason = \"...\")]")
}

fn deny() -> Result<(), Failure> {
    let deny = tools::find_or_install(&tools::DENY)?;
    // The checks that need nothing but the checkout come first and run everywhere.
    run(
        command(&deny).args(["check", "bans", "licenses", "sources"]),
        "see deny.toml: change the dependency, or add an exception there with its reason",
    )?;
    advisories::check(&deny)
}
