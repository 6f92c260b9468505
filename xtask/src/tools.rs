//! Cargo tools the chores need, installed when they are missing.

use std::path::PathBuf;
use std::process::Command;

use crate::place;
use crate::run::{Failure, run, say, succeeds};

/// A cargo subcommand that does not come with Rust.
pub(crate) struct Tool {
    /// The name on crates.io, which is also the name of the program.
    pub(crate) name: &'static str,
    /// The version that is installed when none is there.
    pub(crate) version: &'static str,
    /// How long the installation takes on two cores, for the announcement.
    pub(crate) takes: &'static str,
    /// Profile settings that make its compilation shorter. The tools run for seconds, so slower code costs nothing.
    pub(crate) profile: &'static [(&'static str, &'static str)],
}

/// The runner of the tests.
pub(crate) const NEXTEST: Tool =
    Tool { name: "cargo-nextest", version: "0.9.143", takes: "about five minutes", profile: QUICK_TO_COMPILE };

/// The check of dependencies.
pub(crate) const DENY: Tool =
    Tool { name: "cargo-deny", version: "0.20.2", takes: "about two minutes", profile: QUICK_TO_COMPILE };

const QUICK_TO_COMPILE: &[(&str, &str)] = &[
    ("CARGO_PROFILE_RELEASE_LTO", "off"),
    ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16"),
    ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1"),
];

/// The tool's program: the one on the PATH, else our own, installed first when it is not there yet.
pub(crate) fn find_or_install(tool: &Tool) -> Result<PathBuf, Failure> {
    let on_path = PathBuf::from(tool.name);
    if works(&on_path, tool) {
        return Ok(on_path);
    }
    // Under target/ rather than in the user's cargo home: a chore changes nothing outside the checkout unasked.
    let home = place::target().join("tools");
    let ours = home.join("bin").join(tool.name);
    if !works(&ours, tool) {
        say(format_args!("{} is missing; compiling it into target/tools, which takes {}", tool.name, tool.takes));
        let mut install = Command::new(place::cargo());
        install.args(["install", tool.name, "--version", tool.version, "--locked", "--quiet", "--force", "--root"]);
        install.arg(&home).envs(tool.profile.iter().copied());
        run(&mut install, &format!("install it by hand: cargo install {} --locked", tool.name))?;
    }
    Ok(ours)
}

/// Asks for the version the way cargo calls a subcommand: `cargo-nextest nextest --version`.
fn works(program: &PathBuf, tool: &Tool) -> bool {
    let subcommand = tool.name.trim_start_matches("cargo-");
    succeeds(Command::new(program).arg(subcommand).arg("--version"))
}
