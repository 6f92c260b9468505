use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::path::no_such_conversation;
use super::{ConversationPath, ConversationView};
use crate::api::Api;
use crate::auth::{Caller, Read};
use crate::problem::ApiError;
use crate::query::Query;
use crate::reply;

/// `GET /v1/conversations/{id}`: a conversation with its newest summary, without its messages.
pub(crate) async fn get(
    State(api): State<Arc<Api>>,
    caller: Caller<Read>,
    ConversationPath(id): ConversationPath,
    query: Query,
) -> Result<Response, ApiError> {
    query.only(&[])?;
    let store = api.engine.store();
    let found = store.conversation(id, caller.sees()).await?.ok_or_else(no_such_conversation)?;
    let summary = store.summary(id, caller.sees(), u32::MAX).await?;
    Ok(reply::json(StatusCode::OK, &ConversationView::new(&found).with_summary(summary)))
}
