use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use raincheck_core::{Conversation, ConversationId, Message, Problem, ProblemType, Turn};
use raincheck_engine::TurnWish;
use raincheck_recipes::{PageKind, Recipe, Scope, TemplateError};
use raincheck_store::{MessagesRead, Order};
use serde_json::{Value, json};

use super::{Guest, answer, links};
use crate::api::Api;
use crate::problem::ApiError;
use crate::query::Query;
use crate::reply;

/// The most messages that a page shows: the last there are.
const MESSAGES_MAX: usize = 500;

/// What is said in a conversation with a request, if the recipe has its jobs answer in one.
///
/// # Errors
/// If there can be no such conversation.
pub(super) fn turn(recipe: &Recipe, input: &Value) -> Result<Option<TurnWish>, Problem> {
    let Some(conversation) = &recipe.conversation else { return Ok(None) };
    let Some(message) = &conversation.message else { return Ok(None) };
    let scope = Scope::of_input(input);
    let broken = |error: TemplateError| Problem::new(ProblemType::INVALID_INPUT, error.to_string());
    let content = message.render(&scope).map_err(broken)?.into();
    let id = match conversation.id.render(&scope).map_err(broken)? {
        Value::Null => None,
        Value::String(id) if id.is_empty() => None,
        Value::String(id) => Some(id.parse::<ConversationId>().map_err(|_| unknown())?),
        _ => return Err(unknown()),
    };
    Ok(Some(TurnWish { conversation: id, content, metadata: None }))
}

/// What an answer can say of the conversation that a job belongs to.
pub(super) fn facts(turn: &Turn) -> Value {
    json!({ "id": turn.conversation, "message_id": turn.message, "answer_id": turn.answer })
}

/// Shows a conversation: its last messages, oldest first.
pub(super) async fn messages(
    api: &Arc<Api>,
    recipe: &Recipe,
    path: BTreeMap<String, String>,
    request: Request,
) -> Result<Response, ApiError> {
    let (mut parts, _) = request.into_parts();
    let guest = Guest::to_read(api, recipe, &mut parts).await?;
    let conversation = named(api, &guest, &parts, path).await?;
    let (id, store) = (conversation.id, api.engine.store());
    let Some(page) = recipe.pages.get(&PageKind::Messages) else { return Err(unknown().into()) };
    let links = || links::to(api, &conversation.tenant);
    let (mut messages, mut cursor) = (Vec::new(), None);
    loop {
        let (tenant, order, max) = (guest.sees.clone(), Order::NewestFirst, MESSAGES_MAX - messages.len());
        let read = MessagesRead { conversation: id, tenant, order, cursor, max };
        let found = store.messages(read).await?.ok_or_else(unknown)?;
        for message in &found.messages {
            let shown = shown(message);
            let told = page.item.as_ref().map(|item| item.render(&links().with_message(&shown)));
            messages.push(told.unwrap_or(Ok(shown)).map_err(|error| answer::broken(recipe, &error))?);
        }
        cursor = found.next;
        if cursor.is_none() || messages.len() >= MESSAGES_MAX {
            break;
        }
    }
    messages.reverse();
    let facts = json!({
        "id": id,
        "count": conversation.messages,
        "turns": conversation.turns,
        "created_at": conversation.created_at,
        "updated_at": conversation.updated_at,
        "messages": messages,
    });
    let usual = (StatusCode::OK, || reply::json(StatusCode::OK, &facts));
    answer::told(recipe, &page.answer, &links().with_conversation(&facts), usual)
}

/// The conversation that the path of a request names, if the guest may see it. What can be none names none.
pub(super) async fn named(
    api: &Api,
    guest: &Guest,
    parts: &Parts,
    path: BTreeMap<String, String>,
) -> Result<Conversation, ApiError> {
    Query::parse(parts.uri.query().unwrap_or_default())?.only(&[])?;
    let id = path.into_values().next().unwrap_or_default().parse().map_err(|_| unknown())?;
    Ok(api.engine.store().conversation(id, guest.sees.as_ref()).await?.ok_or_else(unknown)?)
}

/// What can be said of a message.
pub(super) fn shown(message: &Message) -> Value {
    let content: Value = message.content.as_ref().and_then(|content| content.parse().ok()).unwrap_or_default();
    let error = message.error.as_ref().map(|problem| json!({ "name": problem.name(), "detail": problem.detail }));
    json!({
        "id": message.id,
        "role": message.role,
        "state": message.state,
        "content": content,
        "error": error,
        "job_id": message.job,
        "created_at": message.created_at,
        "finished_at": message.finished_at,
    })
}

pub(super) fn unknown() -> Problem {
    Problem::new(ProblemType::NOT_FOUND, "there is no such conversation, or it is not yours")
}
