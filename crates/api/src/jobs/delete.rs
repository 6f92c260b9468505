use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use raincheck_core::ProblemType;

use crate::api::Api;
use crate::auth::{Caller, Submit};
use crate::path::JobPath;
use crate::problem::ApiError;
use crate::query::Query;

/// `DELETE /v1/jobs/{id}`: forgets a job that has ended, with all that belongs to it.
pub(crate) async fn delete(
    State(api): State<Arc<Api>>,
    caller: Caller<Submit>,
    JobPath(id): JobPath,
    query: Query,
) -> Result<StatusCode, ApiError> {
    query.only(&[])?;
    match api.engine.store().delete(id, caller.sees()).await? {
        None => Err(ApiError::no_such_job()),
        Some(Ok(())) => Ok(StatusCode::NO_CONTENT),
        Some(Err(state)) => {
            let detail = format!("the job is {state}; cancel it first, or wait for its end");
            Err(ApiError::new(ProblemType::JOB_NOT_FINISHED, detail))
        }
    }
}
