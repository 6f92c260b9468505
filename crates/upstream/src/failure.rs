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

impl CallFailure {
    /// An answer that is not what the protocol says.
    #[must_use]
    pub fn malformed(detail: String) -> Self {
        Self::unanswered(Fault::Malformed, detail)
    }

    /// What the upstream says of a call that it took and could not do: an object with `code` and `message`.
    #[must_use]
    pub fn said(error: &Value) -> Self {
        let text = |name: &str| error.get(name).and_then(Value::as_str);
        let code = text("code").or_else(|| text("type"));
        let status = if code == Some("rate_limit_exceeded") { 429 } else { 500 };
        let detail =
            format!("the upstream took the call and failed: {}", text("message").unwrap_or("it gave no reason"));
        let verdict = Fault::Status { status, code }.verdict();
        Self { verdict, detail, status: None, body: Some(error.clone()), retry_after: None }
    }
}

impl fmt::Display for CallFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for CallFailure {}
