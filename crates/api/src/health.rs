use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use raincheck_core::{JobId, JobKey, ProblemType};
use raincheck_store::StoreError;
use schemars::JsonSchema;
use serde::Serialize;

use crate::api::Api;
use crate::problem::ApiError;
use crate::reply;

/// How the server is.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Health {
    /// `ok` or `ready`.
    status: &'static str,
}

/// `GET /healthz`: the process is alive.
pub(crate) async fn healthz() -> Response {
    reply::json(StatusCode::OK, &Health { status: "ok" })
}

/// `GET /readyz`: requests are welcome. Not so while the server is draining, or its store has stopped.
pub(crate) async fn readyz(State(api): State<Arc<Api>>) -> Result<Response, ApiError> {
    if api.engine.is_draining() || api.closing.is_cancelled() {
        return Err(ApiError::new(ProblemType::SHUTTING_DOWN, "the server is about to stop"));
    }
    // No job has this id, and looking for it asks the store whether it answers at all.
    let nobody = JobKey::from_i64(0).map(|key| JobId::new(key, 0)).ok_or(StoreError::Stopped)?;
    api.engine.get(nobody, None).await?;
    Ok(reply::json(StatusCode::OK, &Health { status: "ready" }))
}
