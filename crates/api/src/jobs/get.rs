use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::JobView;
use crate::api::Api;
use crate::auth::{Caller, Read};
use crate::path::JobPath;
use crate::problem::ApiError;
use crate::query::Query;
use crate::{recipes, reply};

/// `GET /v1/jobs/{id}`: a job, at once or as soon as it has ended.
pub(crate) async fn get(
    State(api): State<Arc<Api>>,
    caller: Caller<Read>,
    JobPath(id): JobPath,
    query: Query,
) -> Result<Response, ApiError> {
    query.only(&["wait"])?;
    let job = api.job(id, caller.sees(), query.wait()?).await?.ok_or_else(ApiError::no_such_job)?;
    let records = if job.life.steps > 0 { api.engine.store().steps(id).await? } else { Vec::new() };
    let steps = match recipes::steps(&api, &job, &records).await? {
        Some(steps) => steps.into_iter().map(Into::into).collect(),
        None => records.into_iter().map(Into::into).collect(),
    };
    Ok(reply::json(StatusCode::OK, &JobView::new(&job, &api).with_steps(steps)))
}
