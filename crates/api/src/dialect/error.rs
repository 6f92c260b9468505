use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use raincheck_core::{Problem, ProblemType, Time};
use serde_json::{Value, json};

use super::{Dialect, again, upstream_error};
use crate::openai;
use crate::problem::ApiError;

/// Anthropic's status for too much to do, which its SDKs try again.
const OVERLOADED: u16 = 529;

/// Tells an error as the dialect does, in place of the problem that the answer holds.
pub(super) fn tell(dialect: Dialect, error: &ApiError, request_id: &str, response: &mut Response) {
    // An upstream that has refused has its own name for the request.
    let theirs = response.headers().get(super::REQUEST_ID).and_then(|id| Some(id.to_str().ok()?.to_owned()));
    let request_id = theirs.as_deref().unwrap_or(request_id);
    let (status, body) = match dialect {
        Dialect::Anthropic => anthropic(error, request_id),
        Dialect::Fal => (error.status().as_u16(), fal(error.problem())),
        Dialect::OpenAi => openai::told(error),
        Dialect::Replicate => (error.status().as_u16(), replicate(error)),
    };
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    *response.body_mut() = Body::from(body.to_string());
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_LENGTH);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if matches!(dialect, Dialect::Anthropic | Dialect::OpenAi) {
        again::tell(dialect, status, error, headers);
    }
}

fn anthropic(error: &ApiError, request_id: &str) -> (u16, Value) {
    let problem = error.problem();
    let told =
        |status: u16, error: Value| (status, json!({ "type": "error", "error": error, "request_id": request_id }));
    if let Some(upstream) = upstream_error(problem) {
        let status = if upstream.status == 503 { OVERLOADED } else { upstream.status };
        // In the upstream's own words, if they are of this dialect.
        let body: Value = upstream.error.and_then(|error| error.parse().ok()).unwrap_or_default();
        let own = Some(body["error"].clone()).filter(|error| error["type"].is_string());
        let made = || json!({ "type": anthropic_type(status), "message": problem.detail });
        return told(status, own.unwrap_or_else(made));
    }
    let status = match error.status().as_u16() {
        // Statuses that Anthropic has not, and 409, which its SDKs try again though nothing would change.
        422 if problem.is(ProblemType::IDEMPOTENCY_KEY_REUSED) => 422,
        _ if problem.is(ProblemType::UPSTREAM_FAILED) => 502,
        409 | 410 | 422 => 400,
        424 => 500,
        503 => OVERLOADED,
        status => status,
    };
    let place = problem.pointer.as_deref().unwrap_or_default().trim_start_matches('/').replace('/', ".");
    let message = if place.is_empty() { problem.detail.clone() } else { format!("{place}: {}", problem.detail) };
    told(status, json!({ "type": anthropic_type(status), "message": message }))
}

/// What Anthropic calls an error of this status.
pub(crate) fn anthropic_type(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        504 => "timeout_error",
        503 | OVERLOADED => "overloaded_error",
        400..=499 => "invalid_request_error",
        _ => "api_error",
    }
}

fn fal(problem: &Problem) -> Value {
    json!({ "detail": problem.detail, "error_type": problem.name().replace('-', "_") })
}

fn replicate(error: &ApiError) -> Value {
    let problem = error.problem();
    json!({
        "type": problem.type_uri,
        "title": problem.title,
        "detail": problem.detail,
        "status": error.status().as_u16(),
    })
}

/// A name for a request, by which Anthropic's SDKs speak of it.
pub(super) fn request_id(now: Time) -> String {
    static NUMBER: AtomicU64 = AtomicU64::new(1);
    format!("req_{:012x}{:08x}", now.as_millis(), NUMBER.fetch_add(1, Ordering::Relaxed))
}
