//! Chat completions that were made here, as jobs of kind `llm.chat`.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::response::Response;
use raincheck_core::ProblemType;

use super::call;
use super::direct::{Chat, Endpoint};
use crate::api::Api;
use crate::auth::{Caller, Read};
use crate::dialect;
use crate::problem::ApiError;
use crate::query::Query;

/// What their ids begin with.
pub(super) const PREFIX: &str = "chatcmpl-";
/// When to ask again for one that is being made.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// `GET /openai/v1/chat/completions/{id}`: one that was made here, or why there is none. One that is not there yet is no empty
/// success: `409` says when to come back, and SDKs do; with `?wait=N` its end is waited for.
pub(super) async fn retrieve(
    State(api): State<Arc<Api>>,
    caller: Caller<Read>,
    Path(id): Path<String>,
    query: Query,
) -> Result<Response, ApiError> {
    let missing = || ApiError::new(ProblemType::NOT_FOUND, format!("Chat completion with id {id:?} not found."));
    let job = dialect::find(&api, PREFIX, &id, Chat::KIND, caller.sees()).await?.ok_or_else(missing)?;
    let job = api.job(job.id, caller.sees(), query.wait()?).await?.ok_or_else(missing)?;
    if job.life.state.is_final() {
        return call::ended(&api, &job, Chat::KIND).await;
    }
    let detail = "the chat completion is still being made; come back after Retry-After, or ask with ?wait=N";
    Err(ApiError::new(ProblemType::JOB_NOT_FINISHED, detail).retry_after(RETRY_AFTER))
}
