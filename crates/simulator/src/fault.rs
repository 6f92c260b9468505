//! What can go wrong.

use std::time::Duration;

use axum::http::HeaderMap;
use serde::{Deserialize, Serialize};

use crate::config::{Dialect, Wrong};

/// The header with which a request asks for a fault: the name of a kind, or a whole fault as JSON.
pub(crate) const FAULT_HEADER: &str = "x-sim-fault";

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// 429, as if over a limit.
    RateLimited,
    /// The account has no money left: OpenAI's 429 `insufficient_quota`, and what the others say then.
    InsufficientQuota,
    /// Refused for what it asks for.
    ContentPolicy,
    /// 500.
    ServerError,
    /// 502, with the HTML page of a proxy.
    BadGateway,
    /// 503.
    Unavailable,
    /// 529.
    Overloaded,
    /// The status that [`Fault`] names.
    Status,
    /// The status that [`Fault`] names, or 400; and it says the caller's key again, in its words and in a header.
    EchoesKey,
    /// The connection is reset before anything is done or answered.
    ResetBefore,
    /// All is done and billed, and then the connection is reset: the caller cannot know.
    LostAnswer,
    /// The connection is reset in mid-answer.
    ResetMid,
    /// The answer stops in the middle and the connection stays open; for [`Fault::wait_ms`] if that is set, else for good.
    Stall,
    /// Nothing is ever answered, and the connection stays open.
    Hang,
    /// The answer ends in the middle as if it were whole.
    Truncate,
    /// JSON that is none: one event of a stream, or the whole answer.
    Malformed,
    /// The provider's own error event in the middle of a stream.
    ErrorMid,
    /// The answer comes a few bytes at a time, [`Fault::wait_ms`] apart.
    SlowDrip,
    /// It is accepted, and then the work fails: a background response, a queued job, a prediction. FAL's has the status that
    /// [`Fault`] names: 422 for what breaks its rules, 504 for what was not started in time.
    Fails,
    /// The work is done, and what came of it is found unfit: FAL's `has_nsfw_concepts`.
    Flagged,
    /// A page of HTML, with status 200, instead of the answer.
    WebPage,
    /// The answer, and behind it zeros up to 64 MiB.
    Oversized,
    /// A redirect to where clouds tell their machines secrets, instead of the answer.
    Redirected,
}

/// How much an answer has that is too large.
pub(crate) const OVERSIZE: usize = 64 << 20;
/// Where clouds tell their machines secrets; whoever follows a redirect there tells them on.
pub(crate) const METADATA: &str = "http://169.254.169.254/latest/meta-data/";

/// How a 429 or 503 says when to come back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryAfter {
    /// Not at all.
    #[default]
    None,
    /// `Retry-After` in seconds, rounded up.
    Seconds,
    /// `retry-after-ms`, and `Retry-After` as well, as OpenAI does.
    Ms,
    /// `Retry-After` as an HTTP date.
    Date,
}

/// A fault.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// What goes wrong.
    pub kind: FaultKind,
    /// The status of [`FaultKind::Status`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// How a refusal says when to come back.
    #[serde(default)]
    pub retry_after: RetryAfter,
    /// When to come back; how long a stall lasts; the time between the bytes of a slow drip.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_ms: Option<u64>,
    /// After how many tokens of a stream it goes wrong.
    #[serde(default = "after_tokens")]
    pub after_tokens: u32,
}

fn after_tokens() -> u32 {
    3
}

impl Fault {
    /// A fault of this kind, and nothing else said.
    #[must_use]
    pub fn new(kind: FaultKind) -> Self {
        Self { kind, status: None, retry_after: RetryAfter::None, wait_ms: None, after_tokens: after_tokens() }
    }

    /// The status it refuses a call with; `None` if it is none that refuses.
    pub(crate) fn status(&self, dialect: Dialect) -> Option<u16> {
        match self.kind {
            FaultKind::RateLimited => Some(429),
            FaultKind::InsufficientQuota => Some(match dialect {
                Dialect::Openai => 429,
                Dialect::Anthropic => 400,
                Dialect::Fal => 403,
                Dialect::Replicate | Dialect::Http => 402,
            }),
            FaultKind::ContentPolicy => Some(match dialect {
                Dialect::Fal | Dialect::Replicate => 422,
                Dialect::Openai | Dialect::Anthropic | Dialect::Http => 400,
            }),
            FaultKind::ServerError => Some(500),
            FaultKind::BadGateway => Some(502),
            FaultKind::Unavailable => Some(503),
            FaultKind::Overloaded => Some(529),
            FaultKind::Status => self.status,
            FaultKind::EchoesKey => Some(self.status.unwrap_or(400)),
            _ => None,
        }
    }

    /// The time it speaks of.
    pub(crate) fn wait(&self) -> Option<Duration> {
        self.wait_ms.map(Duration::from_millis)
    }

    /// The fault that a request asks for.
    ///
    /// # Errors
    /// If it asks for what there is not.
    pub(crate) fn asked_for(headers: &HeaderMap) -> Result<Option<Self>, Wrong> {
        let Some(value) = headers.get(FAULT_HEADER) else { return Ok(None) };
        let text = value.to_str().unwrap_or_default().trim();
        let json =
            if text.starts_with('{') { text.to_owned() } else { serde_json::json!({ "kind": text }).to_string() };
        let fault: Self =
            serde_json::from_str(&json).map_err(|error| Wrong(format!("header {FAULT_HEADER}: {error}")))?;
        fault.check()?;
        Ok(Some(fault))
    }

    /// # Errors
    /// What makes no sense.
    pub(crate) fn check(&self) -> Result<(), Wrong> {
        let status = self.status.is_some_and(|status| (400..600).contains(&status));
        if (self.status.is_some() || self.kind == FaultKind::Status) && !status {
            return Err(Wrong("status: a fault of the kind `status` needs one of 400 to 599".into()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_header_asks_for_must_exist() {
        let headers = |value: &str| HeaderMap::from_iter([(FAULT_HEADER.parse().unwrap(), value.parse().unwrap())]);
        let asked = Fault::asked_for(&headers("stall")).unwrap();
        assert_eq!(asked, Some(Fault::new(FaultKind::Stall)));
        assert!(Fault::asked_for(&headers("explode")).is_err());
        assert!(Fault::asked_for(&headers(r#"{"kind": "status", "status": 200}"#)).is_err());
        let teapot = Fault::asked_for(&headers(r#"{"kind": "status", "status": 418}"#)).unwrap().unwrap();
        assert_eq!(teapot.status(Dialect::Http), Some(418));
    }
}
