use std::time::Duration;

use raincheck_core::{Lane, ProblemType};

/// A gate as it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct GateStatus {
    /// The upstream.
    pub upstream: String,
    /// The model.
    pub model: String,
    /// The lane of jobs that need it.
    pub lane: Lane,
    /// Calls under way.
    pub under_way: usize,
    /// Calls that may be under way.
    pub limit: usize,
    /// The gate finds that out by itself.
    pub is_adaptive: bool,
    /// The requests of this minute, if they are limited.
    pub requests: Option<Used>,
    /// The tokens of this minute, if they are limited.
    pub tokens: Option<Used>,
    /// The breaker.
    pub breaker: Ahead,
    /// For how long it is shut because the upstream said so.
    pub shut_for: Option<Duration>,
    /// With this status.
    pub shut_by: Option<u16>,
    /// What last went wrong, and how long ago.
    pub setback: Option<(Setback, Duration)>,
}

/// How much of a limit of a minute is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Used {
    /// What was called in the last minute.
    pub used: u64,
    /// What may be.
    pub limit: u64,
}

/// A breaker's state, with what is ahead of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ahead {
    /// Calls go through.
    Closed,
    /// None do; in so long one does, to see whether it works again.
    Open(Duration),
    /// A few do, to see whether it works again.
    HalfOpen,
}

/// What went wrong with a call through no fault of its own: in our words, for the upstream's may hold anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setback {
    /// The problem of a job whose last attempt ended by it.
    pub problem: ProblemType,
    /// What happened.
    pub what: &'static str,
    /// The status, if the upstream answered.
    pub status: Option<u16>,
}
