//! The endpoints that are one call of an upstream and nothing more.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;

use super::call::{self, Call};
use crate::api::Api;
use crate::auth::{Caller, Submit};
use crate::body::JsonBody;
use crate::dialect::{field, fields};
use crate::jobs::IdempotencyKey;
use crate::problem::ApiError;

/// An endpoint whose calls are passed on, or done as jobs.
pub(super) trait Endpoint {
    /// The kind of job that does the same.
    const KIND: &'static str;
    /// Where calls are sent, below the upstream's base address.
    const PATH: &'static str;
}

/// Chat completions.
pub(super) struct Chat;

impl Endpoint for Chat {
    const KIND: &'static str = "llm.chat";
    const PATH: &'static str = "/chat/completions";
}

/// Embeddings.
pub(super) struct Embeddings;

impl Endpoint for Embeddings {
    const KIND: &'static str = "llm.embed";
    const PATH: &'static str = "/embeddings";
}

/// Images.
pub(super) struct Images;

impl Endpoint for Images {
    const KIND: &'static str = "image.generate";
    const PATH: &'static str = "/images/generations";
}

/// `POST` to an endpoint: the answer, at once or as a job.
pub(super) async fn create<E: Endpoint>(
    State(api): State<Arc<Api>>,
    caller: Caller<Submit>,
    key: IdempotencyKey,
    headers: HeaderMap,
    body: JsonBody,
) -> Result<Response, ApiError> {
    let fields = fields(&body)?;
    let is_streamed = field(&fields, "stream", "true or false")?.unwrap_or(false);
    let call = Call { kind: Some(E::KIND), path: E::PATH, is_streamed, labels: Vec::new() };
    call::answer(&api, &caller, &key, &headers, &body, fields, call).await
}
