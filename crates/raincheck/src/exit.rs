use std::fmt;
use std::process::ExitCode;

/// What the process tells the one that started it. docs/operations.md lists them; they never change their meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done; of a job that was followed: it completed.
    Success = 0,
    /// It did not work; of a job that was followed: it failed.
    Failed = 1,
    /// The command line or the configuration is wrong.
    Usage = 2,
    /// The server refused: the request is wrong, or not allowed, or too much.
    Refused = 3,
    /// The server cannot be reached, or does not answer.
    Unreachable = 4,
    /// The server failed; whether the request was carried out may be unknown.
    ServerFailed = 5,
    /// The job that was followed was cancelled.
    Cancelled = 6,
    /// The deadline of the job that was followed passed.
    Expired = 7,
    /// The job has not ended in the time that was given to wait for it.
    NotFinished = 8,
    /// The address cannot be listened on.
    Address = 10,
    /// The data directory cannot be used.
    DataDirectory = 11,
    /// The server would not be safe to start.
    Unsafe = 12,
    /// A write failed, and only a restart can tell what is stored.
    StoreFailed = 13,
    /// Ended by Ctrl-C (SIGINT).
    Interrupted = 130,
    /// Nobody reads the output any more, as after SIGPIPE.
    BrokenPipe = 141,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command did not do what it was asked, for the person who asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// What the process ends with.
    pub(crate) exit: Exit,
    /// What went wrong; empty if there is nothing to say.
    pub(crate) message: String,
    /// What to do about it.
    pub(crate) hint: Option<String>,
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), hint: None }
    }

    /// Ends with this code, and without a word.
    pub(crate) fn silent(exit: Exit) -> Self {
        Self::new(exit, "")
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<crate::config::Wrong> for Failure {
    fn from(wrong: crate::config::Wrong) -> Self {
        let hint = "raincheck.example.toml has every setting with its default";
        Self::new(Exit::Usage, format!("the configuration is wrong\n\n{wrong}\n")).hint(hint)
    }
}
