use std::fmt;
use std::time::Duration;

use hyper::HeaderMap;
use raincheck_core::ProblemType;
use raincheck_core::gate::{Fault, Sign, Then, Verdict};
use serde_json::Value;

use crate::gate::{End, Setback};

/// Why a call gave no answer that can be used.
#[derive(Clone, Debug, PartialEq)]
pub struct CallFailure {
    /// What follows from it.
    pub verdict: Verdict,
    /// What went wrong, in words that hold nothing secret.
    pub detail: String,
    /// The same in a few words that are always ours, not the upstream's.
    pub what: &'static str,
    /// The status, if the upstream answered.
    pub status: Option<u16>,
    /// What it said, if it said it in JSON.
    pub body: Option<Value>,
    /// When it wants to be asked again.
    pub retry_after: Option<Duration>,
    /// The headers of its refusal. Boxed, because results are mostly good.
    pub headers: Box<HeaderMap>,
}

impl CallFailure {
    /// A call that the upstream did not answer.
    pub(crate) fn unanswered(fault: Fault<'_>, detail: impl Into<String>) -> Self {
        Self {
            verdict: fault.verdict(),
            detail: detail.into(),
            what: fault.told(),
            status: None,
            body: None,
            retry_after: None,
            headers: Box::default(),
        }
    }
}

impl CallFailure {
    /// An answer that is not what the protocol says.
    #[must_use]
    pub fn malformed(detail: String) -> Self {
        Self::unanswered(Fault::Malformed, detail)
    }

    /// A good answer, but not one that was asked for.
    #[must_use]
    pub fn unexpected(fault: Fault<'_>, status: u16) -> Self {
        let detail = format!("the upstream answered {status}, which is none of the expected statuses");
        Self { status: Some(status), ..Self::unanswered(fault, detail) }
    }

    /// What the upstream says of a call that it took and could not do: an object with `code` and `message`.
    #[must_use]
    pub fn said(error: &Value) -> Self {
        let text = |name: &str| error.get(name).and_then(Value::as_str);
        let code = text("code").or_else(|| text("type"));
        let status = if code == Some("rate_limit_exceeded") { 429 } else { 500 };
        let detail =
            format!("the upstream took the call and failed: {}", text("message").unwrap_or("it gave no reason"));
        Self { body: Some(error.clone()), ..Self::unanswered(Fault::Status { status, code }, detail) }
    }

    /// The sort of problem that it is for a job whose last attempt ended by it.
    #[must_use]
    pub fn problem_type(&self) -> ProblemType {
        match self.verdict.then {
            Then::Never | Then::Elsewhere | Then::Blocked(_) => ProblemType::UPSTREAM_REFUSED,
            Then::Retry | Then::Wait => ProblemType::UPSTREAM_FAILED,
        }
    }

    /// What its gate is told of it.
    pub(crate) fn end(&self) -> End {
        let Verdict { sign, throttled, then, .. } = self.verdict;
        // A request that is wrong, or a caller that went away, is no setback of the upstream.
        let is_the_callers = sign == Sign::Good || (sign == Sign::None && then == Then::Never);
        let setback = || Setback { problem: self.problem_type(), what: self.what, status: self.status };
        End {
            sign,
            throttled,
            is_429: then == Then::Wait,
            retry_after: self.retry_after,
            setback: (!is_the_callers).then(setback),
            ..End::GONE
        }
    }
}

impl fmt::Display for CallFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for CallFailure {}
