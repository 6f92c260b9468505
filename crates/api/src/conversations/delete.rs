use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;

use super::ConversationPath;
use super::path::no_such_conversation;
use crate::api::Api;
use crate::auth::{Caller, Submit};
use crate::problem::ApiError;
use crate::query::Query;

/// `DELETE /v1/conversations/{id}`: deletes a conversation with its messages, and cancels the jobs that were to answer in it.
pub(crate) async fn delete(
    State(api): State<Arc<Api>>,
    caller: Caller<Submit>,
    ConversationPath(id): ConversationPath,
    query: Query,
) -> Result<StatusCode, ApiError> {
    query.only(&[])?;
    let now = api.engine.clock().now();
    let deleted = api.engine.store().delete_conversation(id, caller.sees(), now).await?;
    if deleted { Ok(StatusCode::NO_CONTENT) } else { Err(no_such_conversation()) }
}
