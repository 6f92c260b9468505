use std::str::FromStr;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use raincheck_store::{MessagesRead, Order};
use schemars::JsonSchema;
use serde::Serialize;

use super::path::no_such_conversation;
use super::{ConversationPath, MessageView};
use crate::api::Api;
use crate::auth::{Caller, Read};
use crate::problem::ApiError;
use crate::query::Query;
use crate::reply;

/// Messages on a page, unless asked otherwise.
const PAGE_DEFAULT: usize = 50;

/// A page of the messages of a conversation.
#[derive(Serialize, JsonSchema)]
pub(crate) struct MessagesPage<'a> {
    /// The messages, in the order that was asked for.
    messages: Vec<MessageView<'a>>,
    /// What to give as `cursor` for the next page: the number of the last message; left out at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<u32>,
}

/// `GET /v1/conversations/{id}/messages`: messages of a conversation.
pub(crate) async fn messages(
    State(api): State<Arc<Api>>,
    caller: Caller<Read>,
    ConversationPath(conversation): ConversationPath,
    query: Query,
) -> Result<Response, ApiError> {
    query.only(&["order", "cursor", "limit"])?;
    let max = query.limit(PAGE_DEFAULT, api.settings.page_max)?;
    let Direction(order) = query.get("order", "asc or desc")?.unwrap_or(Direction(Order::OldestFirst));
    let cursor = query.get("cursor", "the number of a message")?;
    let read = MessagesRead { conversation, tenant: caller.sees().cloned(), order, cursor, max };
    let page = api.engine.store().messages(read).await?.ok_or_else(no_such_conversation)?;
    let messages = page.messages.iter().map(MessageView::new).collect();
    Ok(reply::json(StatusCode::OK, &MessagesPage { messages, next: page.next }))
}

/// How an order is asked for.
struct Direction(Order);

impl FromStr for Direction {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "asc" => Ok(Self(Order::OldestFirst)),
            "desc" => Ok(Self(Order::NewestFirst)),
            _ => Err(()),
        }
    }
}
