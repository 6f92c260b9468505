//! When, and whether, the SDKs of OpenAI and Anthropic are told to ask again; they are made alike.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use raincheck_core::ProblemType;

use super::{Dialect, upstream_error};
use crate::problem::ApiError;
use crate::wait::whole_seconds;

/// By which a server tells whether to ask again, whatever an SDK would do by itself.
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");
/// A wait to the millisecond, which these SDKs look for first.
const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");
/// Some SDKs take a longer `Retry-After` for none at all, and others sleep for as long as it says.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);

/// Sets the headers of an error that is told under this status.
pub(crate) fn tell(dialect: Dialect, status: u16, error: &ApiError, headers: &mut HeaderMap) {
    match error.wait() {
        // Anthropic's clients take any wait, and are given the upstream's own.
        Some(wait) if error.is_exact() && dialect == Dialect::OpenAi => {
            let wait = wait.min(RETRY_AFTER_MAX);
            headers.insert(header::RETRY_AFTER, HeaderValue::from(whole_seconds(wait)));
            if wait.subsec_nanos() > 0 {
                headers.insert(RETRY_AFTER_MS, HeaderValue::from(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)));
            }
        }
        Some(wait) if !error.is_exact() => {
            // As spread as it was.
            let seconds = headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
            let seconds = seconds.unwrap_or(wait.as_secs()).min(RETRY_AFTER_MAX.as_secs());
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        _ => {}
    }
    // An upstream was asked again by its gate, as often as that could help.
    if upstream_error(error.problem()).is_some() || is_final(status, error) {
        headers.insert(SHOULD_RETRY, HeaderValue::from_static("false"));
    }
}

/// Whether an SDK that asks again by itself would only be told the same.
fn is_final(status: u16, error: &ApiError) -> bool {
    let is_retried = matches!(status, 409 | 429) || status >= 500;
    // Who asks again after an unknown outcome is given what was made, if it was.
    is_retried && error.wait().is_none() && !error.problem().is(ProblemType::OUTCOME_UNKNOWN)
}
