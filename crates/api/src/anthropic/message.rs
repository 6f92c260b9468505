use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use raincheck_core::{JobId, Json, Outcome};
use serde_json::json;

use super::{MESSAGE, MESSAGE_ID, events, failed};
use crate::api::Api;
use crate::auth::{Caller, Read};
use crate::dialect::{self, Fields};
use crate::jobs::{self, wants_stream};
use crate::path::is_kind;
use crate::problem::ApiError;
use crate::query::Query;
use crate::reply;

/// `GET /v1/messages/{id}`, which Anthropic's own API has not: the message that a job gave, or its events as they come with
/// `Accept: text/event-stream`. `?wait=N` waits for its end.
pub(super) async fn get(
    State(api): State<Arc<Api>>,
    caller: Caller<Read>,
    Path(id): Path<String>,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let id = dialect::job_of(MESSAGE_ID, &id).or_else(|| id.parse().ok()).ok_or_else(no_such_message)?;
    let is_stream = wants_stream(&headers);
    let wait = if is_stream { None } else { query.wait()? };
    let job = api.job(id, caller.sees(), wait).await?;
    let job = job.filter(|job| is_kind(job, MESSAGE)).ok_or_else(no_such_message)?;
    if is_stream {
        return events::stream(&api, job.id, caller.sees()).await;
    }
    match &job.outcome {
        Some(outcome) => of(job.id, outcome).ok_or_else(|| failed::error(job.id, outcome)),
        None => Ok(jobs::accepted(&api, &job)),
    }
}

/// There is no such message for the caller.
pub(super) fn no_such_message() -> ApiError {
    ApiError::no_such("message")
}

/// The message that a job gave, if it gave one.
pub(super) fn of(job: JobId, outcome: &Outcome) -> Option<Response> {
    match outcome {
        Outcome::Completed(message) => {
            Some(reply::json_text(StatusCode::OK, with_id(job, message.as_str()).as_str().to_owned()))
        }
        _ => None,
    }
}

/// A message under the id by which this door knows it.
pub(super) fn with_id(job: JobId, message: &str) -> Json {
    let Some(mut fields) = Fields::of(message) else { return Json::from_text(message.to_owned()).unwrap_or_default() };
    fields.set("id", &json!(format!("{MESSAGE_ID}{}", dialect::hex(job))).into());
    fields.json()
}
