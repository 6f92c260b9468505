//! Running a command: shown before it starts, and on failure told with what to do next.

use std::fmt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use crate::place;

/// Why a chore stopped.
#[derive(Debug)]
pub(crate) struct Failure {
    what: String,
    code: u8,
}

impl Failure {
    /// The chore did its work and the answer is no: a test, a lint or a command failed.
    pub(crate) fn failed(what: impl Into<String>) -> Self {
        Self { what: what.into(), code: 1 }
    }

    /// The chore could not begin: wrong arguments, or something is missing that a person has to provide.
    pub(crate) fn usage(what: impl Into<String>) -> Self {
        Self { what: what.into(), code: 2 }
    }

    /// The exit status to end with.
    pub(crate) fn code(&self) -> u8 {
        self.code
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

/// Says what is about to happen. Everything that can take longer than two seconds is announced.
pub(crate) fn say(what: impl fmt::Display) {
    eprintln!("xtask: {what}");
}

/// A command that runs in the root of the workspace.
pub(crate) fn command(program: impl AsRef<Path>) -> Command {
    let mut command = Command::new(program.as_ref());
    command.current_dir(place::root());
    command
}

/// Shows the command, runs it with this terminal, and fails with `next` (what the reader can do) unless it succeeds.
pub(crate) fn run(command: &mut Command, next: &str) -> Result<(), Failure> {
    eprintln!("$ {}", shown(command));
    let status = command.status().map_err(|error| not_started(command, &error, next))?;
    ended(command, status, next)
}

/// Whether the command can be started and succeeds; its output is not shown.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// As [`run`], for a command that may hang on the network: it is ended after `limit`.
pub(crate) fn run_within(command: &mut Command, limit: Duration, next: &str) -> Result<(), Failure> {
    const LOOK_EVERY: Duration = Duration::from_millis(50);
    eprintln!("$ {}", shown(command));
    let mut child = command.spawn().map_err(|error| not_started(command, &error, next))?;
    let mut waited = Duration::ZERO;
    loop {
        let status = child.try_wait().map_err(|error| not_started(command, &error, next))?;
        if let Some(status) = status {
            return ended(command, status, next);
        }
        if waited >= limit {
            // It may end by itself in between; either way it must not outlive us.
            let _ = child.kill();
            let _ = child.wait();
            let seconds = limit.as_secs();
            return Err(Failure::failed(format!("`{}` did not end within {seconds} s; {next}", shown(command))));
        }
        std::thread::sleep(LOOK_EVERY);
        waited += LOOK_EVERY;
    }
}

/// Whether the chore runs as root. Asked of `id`, for the standard library does not say.
pub(crate) fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

fn ended(command: &Command, status: ExitStatus, next: &str) -> Result<(), Failure> {
    if status.success() {
        return Ok(());
    }
    Err(Failure::failed(format!("`{}` ended with {status}; {next}", shown(command))))
}

fn not_started(command: &Command, error: &std::io::Error, next: &str) -> Failure {
    Failure::failed(format!("failed to run `{}`: {error}; {next}", shown(command)))
}

/// The command as one would type it, the program by its bare name.
fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let name = program.file_name().unwrap_or(command.get_program()).to_string_lossy();
    let args = command.get_args().map(|arg| arg.to_string_lossy());
    std::iter::once(name).chain(args).collect::<Vec<_>>().join(" ")
}
