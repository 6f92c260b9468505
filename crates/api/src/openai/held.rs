//! Calls that are waited for and are jobs all the same: those that name files kept here. The files are brought to the upstream
//! first, once each, and only a job can do that without losing count when its caller's connection breaks.

use std::time::Duration;

use axum::http::{HeaderValue, header};
use axum::response::Response;
use raincheck_blob::mentions;
use raincheck_core::{Job, ProblemType, Tenant};
use raincheck_engine::Submitted;
use serde_json::Value;
use tokio::time::Instant;

use super::call::{ended, no_such};
use super::responses;
use crate::api::Api;
use crate::body::JsonBody;
use crate::dialect::invalid;
use crate::jobs::marked;
use crate::problem::ApiError;
use crate::reply;

/// How long a caller is kept waiting: an upload, and a call of a quarter of an hour.
const HELD_MAX: Duration = Duration::from_secs(30 * 60);

/// Whether a body names a file by an id of our form.
pub(super) fn names_files(body: &JsonBody) -> bool {
    let is_likely = std::str::from_utf8(body.bytes()).is_ok_and(|text| text.contains("\"file-"));
    is_likely && serde_json::from_slice(body.bytes()).is_ok_and(|body: Value| !mentions(&body).is_empty())
}

/// Refuses a call that could not be answered from its job.
pub(super) fn check(kind: &str, is_streamed: bool) -> Result<(), ApiError> {
    if is_streamed && kind != responses::KIND {
        let detail = "a call that names a file kept here is a job, and of these only Responses are streamed; leave out stream, \
                      or use /responses";
        return Err(invalid("stream", detail));
    }
    Ok(())
}

/// The answer of a job, as soon as it has one; or its events as they come.
pub(super) async fn answer(
    api: &Api,
    submitted: &Submitted,
    tenant: &Tenant,
    is_streamed: bool,
) -> Result<Response, ApiError> {
    let job = submitted.job();
    let mut response = if is_streamed {
        responses::streamed(api, job).await?
    } else {
        ended(api, &until_end(api, job, tenant).await?, job.spec.kind.as_str()).await?
    };
    response.headers_mut().insert(header::LOCATION, reply::location(job.id));
    if let Ok(id) = HeaderValue::try_from(job.id.to_string()) {
        response.headers_mut().insert("raincheck-job", id);
    }
    Ok(marked(response, submitted))
}

async fn until_end(api: &Api, job: &Job, tenant: &Tenant) -> Result<Job, ApiError> {
    let until = Instant::now() + HELD_MAX;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let now = api.job(job.id, Some(tenant), Some(left)).await?.ok_or_else(|| no_such(job.spec.kind.as_str()))?;
        if now.life.state.is_final() {
            return Ok(now);
        }
        if left.is_zero() || api.closing.is_cancelled() {
            let detail = format!("the call goes on as {}; send the same request again, or ask for the job", job.id);
            return Err(ApiError::new(ProblemType::OVERLOADED, detail).retry_after(Duration::from_secs(1)));
        }
    }
}
