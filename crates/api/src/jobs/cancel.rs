use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use raincheck_core::{JobId, Problem, ProblemType, State as JobState};
use raincheck_store::Cancelled;
use schemars::JsonSchema;
use serde::Deserialize;

use super::JobView;
use crate::api::Api;
use crate::auth::{Caller, Submit};
use crate::body::OptionalJsonBody;
use crate::path::JobPath;
use crate::problem::ApiError;
use crate::query::Query;
use crate::reply;

/// The longest reason, in bytes.
const REASON_MAX: usize = 500;

/// Why a job is to be cancelled.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CancelRequest {
    /// In words, for whoever looks at the job later.
    #[schemars(length(max = 500))]
    reason: Option<String>,
}

/// `POST /v1/jobs/{id}/cancel`: ends a job that waits, asks a running one to stop. Asking again changes nothing.
pub(crate) async fn cancel(
    State(api): State<Arc<Api>>,
    caller: Caller<Submit>,
    JobPath(id): JobPath,
    query: Query,
    OptionalJsonBody(body): OptionalJsonBody,
) -> Result<Response, ApiError> {
    query.only(&[])?;
    let request: CancelRequest = body.map(|body| body.parse()).transpose()?.unwrap_or_default();
    if request.reason.as_ref().is_some_and(|reason| reason.len() > REASON_MAX) {
        return Err(Problem::new(ProblemType::INVALID_REQUEST, "a reason may have 500 bytes").at("/reason").into());
    }
    let answer = api.engine.cancel(id, caller.sees().cloned(), request.reason).await?;
    match answer {
        Cancelled::Done(_) | Cancelled::Finished(JobState::Cancelled) => job(&api, &caller, id).await,
        Cancelled::Unknown => Err(ApiError::no_such_job()),
        Cancelled::Finished(state) => {
            let detail = format!("the job is already {state}; there is nothing left to cancel");
            Err(ApiError::new(ProblemType::JOB_FINISHED, detail))
        }
    }
}

async fn job(api: &Api, caller: &Caller<Submit>, id: JobId) -> Result<Response, ApiError> {
    let job = api.engine.get(id, caller.sees()).await?.ok_or_else(ApiError::no_such_job)?;
    Ok(reply::json(StatusCode::OK, &JobView::new(&job, api)))
}
