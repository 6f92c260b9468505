//! What is asked of an upstream about Responses, and only passed on.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;

use super::previous;
use crate::api::Api;
use crate::auth::{Caller, Submit};
use crate::body::JsonBody;
use crate::dialect::fields;
use crate::jobs::IdempotencyKey;
use crate::openai::call::{self, Call};
use crate::problem::ApiError;

/// `POST /openai/v1/responses/input_tokens`: how many tokens a request has.
pub(crate) async fn count_input_tokens(
    State(api): State<Arc<Api>>,
    caller: Caller<Submit>,
    key: IdempotencyKey,
    headers: HeaderMap,
    body: JsonBody,
) -> Result<Response, ApiError> {
    pass(&api, &caller, &key, &headers, &body, "/responses/input_tokens").await
}

/// `POST /openai/v1/responses/compact`: a conversation in fewer words.
pub(crate) async fn compact(
    State(api): State<Arc<Api>>,
    caller: Caller<Submit>,
    key: IdempotencyKey,
    headers: HeaderMap,
    body: JsonBody,
) -> Result<Response, ApiError> {
    pass(&api, &caller, &key, &headers, &body, "/responses/compact").await
}

async fn pass(
    api: &Api,
    caller: &Caller<Submit>,
    key: &IdempotencyKey,
    headers: &HeaderMap,
    body: &JsonBody,
    path: &'static str,
) -> Result<Response, ApiError> {
    let mut fields = fields(body)?;
    previous::resolve(api, caller, &mut fields).await?;
    let call = Call { kind: None, path, is_streamed: false, labels: Vec::new() };
    call::answer(api, caller, key, headers, body, fields, call).await
}
