use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use raincheck_core::ProblemType;
use serde_json::json;

use super::cancel::END_WITHIN;
use super::{found, no_such_response};
use crate::api::Api;
use crate::auth::{Caller, Submit};
use crate::problem::ApiError;
use crate::reply;

/// When to ask again for one that would not stop in time.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// `DELETE /openai/v1/responses/{id}`: forgets a Response; one that has not ended is cancelled first.
pub(crate) async fn delete(
    State(api): State<Arc<Api>>,
    caller: Caller<Submit>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let (job, _) = found(&api, caller.sees(), &id).await?;
    if !job.life.state.is_final() {
        api.engine.cancel(job.id, caller.sees().cloned(), None).await?;
        api.job(job.id, caller.sees(), Some(END_WITHIN)).await?;
    }
    match api.engine.store().delete(job.id, caller.sees()).await? {
        None => Err(no_such_response(&id)),
        Some(Ok(())) => Ok(reply::json(StatusCode::OK, &json!({ "id": id, "object": "response", "deleted": true }))),
        Some(Err(_)) => {
            let detail = "the response is asked to stop and has not ended yet; delete it once it has";
            Err(ApiError::new(ProblemType::JOB_NOT_FINISHED, detail).retry_after(RETRY_AFTER))
        }
    }
}
