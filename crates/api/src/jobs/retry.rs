use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;

use super::submit::accepted;
use crate::api::Api;
use crate::auth::{Caller, Submit};
use crate::path::JobPath;
use crate::problem::ApiError;
use crate::query::Query;

/// `POST /v1/jobs/{id}/retry`: does a job that has ended anew, as a new job.
pub(crate) async fn retry(
    State(api): State<Arc<Api>>,
    caller: Caller<Submit>,
    JobPath(id): JobPath,
    query: Query,
) -> Result<Response, ApiError> {
    query.only(&[])?;
    let submitted = api.engine.retry(id, caller.sees()).await?.ok_or_else(ApiError::no_such_job)?;
    Ok(accepted(&api, submitted.job()))
}
