use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;

use super::idempotency::{IdempotencyKey, marked};
use super::submit::accepted;
use crate::api::Api;
use crate::auth::{Caller, Submit};
use crate::body::NoBody;
use crate::path::JobPath;
use crate::problem::ApiError;
use crate::query::Query;

/// `POST /v1/jobs/{id}/retry`: does a job that has ended anew, as a new job.
pub(crate) async fn retry(
    State(api): State<Arc<Api>>,
    caller: Caller<Submit>,
    key: IdempotencyKey,
    JobPath(id): JobPath,
    query: Query,
    _: NoBody,
) -> Result<Response, ApiError> {
    query.only(&[])?;
    let idempotency = key.anew(&caller.tenant, id);
    let submitted = api.engine.retry(id, caller.sees(), idempotency).await?.ok_or_else(ApiError::no_such_job)?;
    Ok(marked(accepted(&api, submitted.job()), &submitted))
}
