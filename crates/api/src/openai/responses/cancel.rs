use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use raincheck_store::Cancelled;

use super::{found, no_such_response, retrieve};
use crate::api::Api;
use crate::auth::{Caller, Submit};
use crate::problem::ApiError;

/// How long a cancelled Response is waited for, so that its end can be told: an attempt is given less to stop.
pub(super) const END_WITHIN: Duration = Duration::from_secs(15);

/// `POST /openai/v1/responses/{id}/cancel`: ends a Response. Asking again changes nothing, and one that has ended stays as
/// it ended.
pub(crate) async fn cancel(
    State(api): State<Arc<Api>>,
    caller: Caller<Submit>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let (job, face) = found(&api, caller.sees(), &id).await?;
    let answer = api.engine.cancel(job.id, caller.sees().cloned(), None).await?;
    if answer == Cancelled::Unknown {
        return Err(no_such_response(&id));
    }
    // An attempt may still complete while it is asked to stop: only the end itself says how it ended.
    let job = api.job(job.id, caller.sees(), Some(END_WITHIN)).await?.ok_or_else(|| no_such_response(&id))?;
    Ok(retrieve::shown(&api, &job, face, StatusCode::OK).await?)
}
