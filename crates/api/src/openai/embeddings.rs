use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;

use super::body::{field, fields};
use super::call::{self, Call};
use crate::api::Api;
use crate::auth::{Caller, Submit};
use crate::body::JsonBody;
use crate::jobs::IdempotencyKey;
use crate::problem::ApiError;

/// The kind of job that does the same.
pub(super) const KIND: &str = "llm.embed";

/// `POST /openai/v1/embeddings`: embeddings, at once or as a job.
pub(crate) async fn create(
    State(api): State<Arc<Api>>,
    caller: Caller<Submit>,
    key: IdempotencyKey,
    headers: HeaderMap,
    body: JsonBody,
) -> Result<Response, ApiError> {
    let fields = fields(&body)?;
    let is_streamed = field(&fields, "stream", "true or false")?.unwrap_or(false);
    let call = Call { kind: KIND, path: "/embeddings", is_streamed };
    call::answer(&api, &caller, &key, &headers, &body, fields, &call).await
}
