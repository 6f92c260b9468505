use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use raincheck_core::JobId;
use serde::Serialize;

/// What a job's JSON takes, as a rule.
const USUAL_BYTES: usize = 1_024;

/// A response with a JSON body.
pub(crate) fn json<T: Serialize + ?Sized>(status: StatusCode, value: &T) -> Response {
    let mut body = Vec::with_capacity(USUAL_BYTES);
    // Text keys and finite numbers throughout, and memory does not fail to be written to.
    let _ = serde_json::to_writer(&mut body, value);
    json_text(status, body)
}

/// A response with a body that is JSON already.
pub(crate) fn json_text(status: StatusCode, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Asks nginx not to hold the pieces of an answer back.
pub(crate) fn unbuffered(mut response: Response) -> Response {
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// Where a job is.
pub(crate) fn location(job: JobId) -> HeaderValue {
    // An id is letters, digits and an underscore.
    HeaderValue::try_from(format!("/v1/jobs/{job}")).expect("a job's path is plain ASCII")
}
