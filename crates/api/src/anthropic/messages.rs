use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use raincheck_core::Job;

use super::{MESSAGE, failed, message, pass};
use crate::api::Api;
use crate::auth::{Caller, Submit};
use crate::body::JsonBody;
use crate::dialect::{self, Request, Wish};
use crate::jobs::{self, IdempotencyKey, marked};
use crate::prefer::{self, PREFERENCE_APPLIED};
use crate::problem::ApiError;

/// Where messages are asked for, below the upstream's base address.
const PATH: &str = "v1/messages";

/// `POST /v1/messages`: passed through, or accepted as a job if `Prefer: respond-async` says so.
pub(super) async fn create(
    State(api): State<Arc<Api>>,
    caller: Caller<Submit>,
    key: IdempotencyKey,
    headers: HeaderMap,
    body: JsonBody,
) -> Result<Response, ApiError> {
    let request = Request::new(caller.key_id(), PATH, body.bytes(), &headers);
    if !prefer::respond_async(&headers) {
        return pass::pass(&api, PATH, &headers, &body, request.under(&key, &caller.tenant)).await;
    }
    dialect::refuse_own_key(&headers)?;
    let wish = Wish::new(&api, "anthropic", MESSAGE, body.parse_json()?);
    drop(body);
    let submitted = dialect::submit_once(&api, &caller.tenant, wish, &key, request).await?;
    let wait = prefer::wait(&headers);
    let job = match wait {
        Some(_) => api.job(submitted.job().id, Some(&caller.tenant), wait).await?,
        None => None,
    };
    let mut response = match job {
        Some(job) if job.life.state.is_final() => ended(&job)?,
        _ => jobs::accepted(&api, submitted.job()),
    };
    response.headers_mut().insert(PREFERENCE_APPLIED, HeaderValue::from_static("respond-async"));
    Ok(marked(response, &submitted))
}

fn ended(job: &Job) -> Result<Response, ApiError> {
    let outcome = job.outcome.as_ref().ok_or_else(message::no_such_message)?;
    message::of(job.id, outcome).ok_or_else(|| failed::error(job.id, outcome))
}

/// `POST /v1/messages/count_tokens`: passed through.
pub(super) async fn count_tokens(
    State(api): State<Arc<Api>>,
    caller: Caller<Submit>,
    key: IdempotencyKey,
    headers: HeaderMap,
    body: JsonBody,
) -> Result<Response, ApiError> {
    let path = "v1/messages/count_tokens";
    let request = Request::new(caller.key_id(), path, body.bytes(), &headers);
    pass::pass(&api, path, &headers, &body, request.under(&key, &caller.tenant)).await
}
