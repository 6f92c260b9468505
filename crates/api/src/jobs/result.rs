use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use raincheck_core::{Outcome, ProblemType};

use super::JobView;
use super::view;
use crate::api::Api;
use crate::auth::{Caller, Read};
use crate::path::JobPath;
use crate::problem::ApiError;
use crate::query::Query;
use crate::reply;

/// `GET /v1/jobs/{id}/result`: the bare result; the problem that the job ended with instead of one; or that there is none
/// yet.
pub(crate) async fn result(
    State(api): State<Arc<Api>>,
    caller: Caller<Read>,
    JobPath(id): JobPath,
    query: Query,
) -> Result<Response, ApiError> {
    query.only(&["wait"])?;
    let job = api.job(id, caller.sees(), query.wait()?).await?.ok_or_else(ApiError::no_such_job)?;
    match &job.outcome {
        Some(Outcome::Completed(result)) => Ok(reply::json_text(StatusCode::OK, result.as_str().to_owned())),
        Some(outcome) => {
            let problem = view::error(outcome).map(Cow::into_owned);
            Err(problem
                .map_or_else(ApiError::no_such_job, |problem| ApiError::of_job(id, problem).under(&api.settings.path)))
        }
        None => {
            let view = JobView::new(&job, &api);
            let wait = view.estimated_wait(api.engine.clock().now()).max(Duration::from_secs(1));
            let detail =
                "the job has not ended yet; come back after Retry-After, ask with ?wait=30, or follow its events";
            Err(ApiError::new(ProblemType::JOB_NOT_FINISHED, detail).retry_after(wait))
        }
    }
}
