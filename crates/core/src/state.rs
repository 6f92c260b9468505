use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Where a job is in its life. The last four are final: a job reaches exactly one of them, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Its time (`run_at`) has not come.
    Scheduled,
    /// Ready to be claimed.
    Queued,
    /// An attempt holds a lease on it.
    Running,
    /// Between attempts: the next one may start at `run_at`.
    Waiting,
    /// Ended with a result.
    Completed,
    /// Ended with an error: out of attempts, not worth another, or its workers died too often.
    Failed,
    /// Ended because somebody asked for it.
    Cancelled,
    /// Ended because its deadline passed.
    Expired,
}

/// What moves a job from one state to another, as the state diagram words it.
pub(crate) const TRANSITIONS: &[(State, State, &str)] = &[
    (State::Scheduled, State::Queued, "run_at comes"),
    (State::Scheduled, State::Cancelled, "cancel"),
    (State::Scheduled, State::Expired, "deadline passes"),
    (State::Queued, State::Running, "claimed"),
    (State::Queued, State::Cancelled, "cancel"),
    (State::Queued, State::Expired, "deadline passes"),
    (State::Running, State::Queued, "lease lost, or handed back"),
    (State::Running, State::Waiting, "attempt failed or was postponed, another is due"),
    (State::Running, State::Completed, "attempt completed"),
    (State::Running, State::Failed, "attempt failed for good, or third lease lost"),
    (State::Running, State::Cancelled, "attempt ended after cancel"),
    (State::Running, State::Expired, "deadline passes"),
    (State::Waiting, State::Queued, "run_at comes"),
    (State::Waiting, State::Cancelled, "cancel"),
    (State::Waiting, State::Expired, "deadline passes"),
];

impl State {
    /// Every state, in the order of a job's life.
    pub const ALL: [Self; 8] = [
        Self::Scheduled,
        Self::Queued,
        Self::Running,
        Self::Waiting,
        Self::Completed,
        Self::Failed,
        Self::Cancelled,
        Self::Expired,
    ];

    /// Whether nothing can change the job any more.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled | Self::Expired)
    }

    /// The word used in JSON, metrics and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A word that names no state.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("expected one of scheduled, queued, running, waiting, completed, failed, cancelled, expired")]
pub struct StateError;

impl FromStr for State {
    type Err = StateError;

    fn from_str(text: &str) -> Result<Self, StateError> {
        Self::ALL.into_iter().find(|state| state.as_str() == text).ok_or(StateError)
    }
}

/// The state diagram as Mermaid source, made from the transition table; docs/job-states.md holds exactly this.
#[must_use]
pub fn mermaid() -> String {
    let mut text =
        String::from("stateDiagram-v2\n    [*] --> scheduled: accepted for later\n    [*] --> queued: accepted\n");
    for (from, to, cause) in TRANSITIONS {
        text.push_str(&format!("    {from} --> {to}: {cause}\n"));
    }
    for state in State::ALL.into_iter().filter(|state| state.is_final()) {
        text.push_str(&format!("    {state} --> [*]\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_diagram_in_the_docs_is_the_table() {
        let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/job-states.md")).unwrap();
        assert!(page.contains(&mermaid()), "docs/job-states.md should contain:\n{}", mermaid());
    }

    #[test]
    fn nothing_leaves_a_final_state() {
        assert!(TRANSITIONS.iter().all(|(from, _, _)| !from.is_final()));
    }
}
