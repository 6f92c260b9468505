//! What whole-system tests need: a place of their own, the command, a server in it, and HTTP without any of our own code.

mod authority;
mod http;
mod place;
mod server;
pub(crate) mod waves;

pub(crate) use authority::Authority;
pub(crate) use http::{Reply, delete, get, get_bytes, post, read_until, request};
pub(crate) use place::Place;
pub(crate) use server::{Server, memory_kib};

use std::process::{Command, Output, Stdio};

/// The command under test, with nothing of the environment that would change what it does.
pub(crate) fn raincheck(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_raincheck"));
    command.args(args).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("RAINCHECK_") {
            command.env_remove(name);
        }
    }
    command.env_remove("NO_COLOR");
    command
}

/// Runs the command to its end.
pub(crate) fn run(command: &mut Command) -> Ended {
    let Output { status, stdout, stderr } = command.output().expect("the command starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("output is UTF-8");
    Ended { code: status.code(), out: text(stdout), err: text(stderr) }
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// The exit code; `None` if a signal ended it.
    pub(crate) code: Option<i32>,
    /// What it wrote to standard output.
    pub(crate) out: String,
    /// What it wrote to standard error.
    pub(crate) err: String,
}

impl Ended {
    /// The one JSON document on standard output.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("no JSON ({error}): {self:?}"))
    }

    /// The lines of JSON on standard output.
    pub(crate) fn json_lines(&self) -> Vec<serde_json::Value> {
        self.out.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect()
    }
}
