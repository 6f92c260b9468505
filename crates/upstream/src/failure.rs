use std::fmt;
use std::time::Duration;

use raincheck_core::gate::{Fault, Verdict};
use serde_json::Value;

/// Why a call gave no answer that can be used.
#[derive(Clone, Debug, PartialEq)]
pub struct CallFailure {
    /// What follows from it.
    pub verdict: Verdict,
    /// What went wrong, in words that hold nothing secret.
    pub detail: String,
    /// The status, if the upstream answered.
    pub status: Option<u16>,
    /// What it said, if it said it in JSON.
    pub body: Option<Value>,
    /// When it wants to be asked again.
    pub retry_after: Option<Duration>,
}

impl CallFailure {
    /// A call that the upstream did not answer.
    pub(crate) fn unanswered(fault: Fault<'_>, detail: impl Into<String>) -> Self {
        Self { verdict: fault.verdict(), detail: detail.into(), status: None, body: None, retry_after: None }
    }
}

impl fmt::Display for CallFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for CallFailure {}
