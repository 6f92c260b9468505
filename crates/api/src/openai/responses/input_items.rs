use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use raincheck_core::{JobId, Json};
use serde_json::json;

use super::{found, text};
use crate::api::Api;
use crate::auth::{Caller, Read};
use crate::dialect::{Fields, hex};
use crate::openai::page::{Page, Wanted};
use crate::problem::ApiError;
use crate::query::Query;

/// Items on a page, unless asked otherwise, and at most.
const PAGE_DEFAULT: usize = 20;
const PAGE_MAX: usize = 100;

/// `GET /openai/v1/responses/{id}/input_items`: what a Response was asked with.
pub(crate) async fn input_items(
    State(api): State<Arc<Api>>,
    caller: Caller<Read>,
    Path(id): Path<String>,
    query: Query,
) -> Result<Response, ApiError> {
    let wanted = Wanted::of(&query, PAGE_DEFAULT, PAGE_MAX)?;
    let (job, _) = found(&api, caller.sees(), &id).await?;
    let input = api.engine.store().input(job.id).await?.unwrap_or_default();
    Ok(Page::of(items(job.id, &input), &wanted).reply())
}

/// The items of an input, the oldest first, each with its id.
fn items(job: JobId, input: &Json) -> Vec<(String, Json)> {
    let input = Fields::of(input.as_str());
    let input = input.as_ref().and_then(|fields| fields.get("input")).unwrap_or("[]");
    if let Ok(text) = serde_json::from_str::<String>(input) {
        let message = json!({ "type": "message", "role": "user", "content": text });
        return vec![item(job, 0, &message.into())];
    }
    let items: Vec<Json> = serde_json::from_str(input).unwrap_or_default();
    items.iter().enumerate().map(|(number, one)| item(job, number, one)).collect()
}

/// An item with what OpenAI gives every item: an id, its type, and its content in parts.
fn item(job: JobId, number: usize, item: &Json) -> (String, Json) {
    let Some(mut fields) = Fields::of(item.as_str()) else { return (String::new(), item.clone()) };
    let string = |fields: &Fields, name: &str| serde_json::from_str::<String>(fields.get(name)?).ok();
    let is_message = fields.get("role").is_some() && string(&fields, "type").is_none_or(|name| name == "message");
    if is_message {
        fields.set("type", &text("message"));
        if fields.get("status").is_none() {
            fields.set("status", &text("completed"));
        }
        if let Some(content) = string(&fields, "content") {
            let is_answer = string(&fields, "role").is_some_and(|role| role == "assistant");
            let part = if is_answer {
                json!([{ "type": "output_text", "text": content, "annotations": [] }])
            } else {
                json!([{ "type": "input_text", "text": content }])
            };
            fields.set("content", &part.into());
        }
    }
    let id = string(&fields, "id").unwrap_or_else(|| format!("{}_{}_{number}", prefix(is_message), hex(job)));
    fields.set("id", &text(&id));
    (id, fields.json())
}

fn prefix(is_message: bool) -> &'static str {
    if is_message { "msg" } else { "item" }
}
