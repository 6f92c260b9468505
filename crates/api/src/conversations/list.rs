use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use schemars::JsonSchema;
use serde::Serialize;

use super::ConversationView;
use crate::api::Api;
use crate::auth::{Caller, Read};
use crate::jobs::{Cursor, cursor};
use crate::problem::ApiError;
use crate::query::Query;
use crate::reply;

/// Conversations on a page, unless asked otherwise.
const PAGE_DEFAULT: usize = 50;

/// A page of conversations.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ConversationsPage<'a> {
    /// Newest first, without summaries.
    conversations: Vec<ConversationView<'a>>,
    /// What to give as `cursor` for the next page; left out at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// `GET /v1/conversations`: conversations, newest first.
pub(crate) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller<Read>,
    query: Query,
) -> Result<Response, ApiError> {
    query.only(&["cursor", "limit"])?;
    let limit = query.limit(PAGE_DEFAULT, api.settings.page_max)?;
    let before = query.get::<Cursor>("cursor", "the `next` of the page before")?.map(|Cursor(key)| key);
    let page = api.engine.store().conversations(caller.sees(), before, limit).await?;
    let conversations = page.conversations.iter().map(ConversationView::new).collect();
    Ok(reply::json(StatusCode::OK, &ConversationsPage { conversations, next: page.next.map(cursor) }))
}
