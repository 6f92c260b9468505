//! Anthropic, under `/anthropic/v1`.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::answer::{Frame, Frames};
use crate::content::tokens_read;
use crate::inbound::Inbound;
use crate::refusal::{No, Refusal, Why};
use crate::sim::Sim;
use crate::structured;
use crate::work::{Demand, Work, begin};

/// The routes.
pub(crate) fn router() -> Router<Arc<Sim>> {
    Router::new()
        .route("/anthropic/v1/messages", post(create))
        .route("/anthropic/v1/messages/count_tokens", post(count_tokens))
        .route("/anthropic/{*rest}", any(unknown))
}

async fn unknown(inbound: Inbound) -> Refusal {
    inbound.refuse(&No::not_found("Not found"))
}

async fn create(inbound: Inbound) -> Result<Response, Refusal> {
    let demand = demand(&inbound);
    let work = begin(inbound, demand).await?;
    if work.body["stream"] == json!(true) {
        let no = No::new(529, Why::Overloaded, "Overloaded");
        let error = Frame::event(Some("error"), &no.body(work.inbound.dialect, &work.inbound.request_id));
        let frames = frames(&work);
        return Ok(work.stream(frames, error));
    }
    Ok(work.json(StatusCode::OK, message).await)
}

/// How many tokens a request has: told at once, and no work.
async fn count_tokens(inbound: Inbound) -> Result<Response, Refusal> {
    inbound.look().await?;
    let body = inbound.json()?;
    Ok(inbound.dress(Json(json!({"input_tokens": read(&body)})).into_response()))
}

/// The tokens of what is asked.
fn read(body: &Value) -> u64 {
    tokens_read([body.get("messages"), body.get("system"), body.get("tools")])
}

fn demand(inbound: &Inbound) -> Result<(Value, Demand), Refusal> {
    let body = inbound.json()?;
    let missing = |name: &str| inbound.refuse(&No::invalid(format!("{name}: Field required")));
    let Some(model) = body["model"].as_str() else { return Err(missing("model")) };
    if !body["messages"].is_array() {
        return Err(missing("messages"));
    }
    let Some(most) = body["max_tokens"].as_u64().filter(|most| *most > 0) else { return Err(missing("max_tokens")) };
    let demand = Demand {
        model: model.to_owned(),
        input_tokens: read(&body),
        output_max: Some(u32::try_from(most).unwrap_or(u32::MAX)),
        writes: true,
    };
    Ok((body, demand))
}

/// What was read and written: all of it, or what it is at the beginning.
fn usage(work: &Work, written: u64) -> Value {
    json!({
        "input_tokens": work.input_tokens, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0,
        "output_tokens": written, "service_tier": "standard"
    })
}

fn stop_reason(work: &Work) -> &'static str {
    match structured::tool(&work.body) {
        _ if work.plan.cut_short => "max_tokens",
        Some(_) => "tool_use",
        None => "end_turn",
    }
}

/// The one block of an answer: its text, or the use of the tool that must be used.
fn block(work: &Work, is_begun: bool) -> Value {
    let Some(tool) = structured::tool(&work.body) else {
        let text = if is_begun { String::new() } else { work.plan.text() };
        return json!({"type": "text", "text": text});
    };
    let whole = serde_json::from_str::<Value>(&work.plan.text()).ok().filter(|_| !is_begun);
    let input = whole.unwrap_or_else(|| json!({}));
    json!({"type": "tool_use", "id": work.id("toolu_", "tool", 24), "name": tool["name"], "input": input})
}

fn message(work: &Work) -> Value {
    json!({
        "id": work.id("msg_", "message", 24),
        "type": "message",
        "role": "assistant",
        "model": work.model,
        "content": [block(work, false)],
        "stop_reason": stop_reason(work),
        "stop_sequence": null,
        "usage": usage(work, work.output_tokens())
    })
}

fn frames(work: &Work) -> Frames {
    let event = |mut data: Value, name: &'static str| {
        data["type"] = json!(name);
        Frame::event(Some(name), &data)
    };
    let mut begun = message(work);
    begun["content"] = json!([]);
    begun["stop_reason"] = Value::Null;
    begun["usage"] = usage(work, 1);
    let before = [
        event(json!({"message": begun}), "message_start"),
        event(json!({"index": 0, "content_block": block(work, true)}), "content_block_start"),
        event(json!({}), "ping"),
    ];
    let stop = json!({"stop_reason": stop_reason(work), "stop_sequence": null});
    let after = [
        event(json!({"index": 0}), "content_block_stop"),
        event(json!({"delta": stop, "usage": {"output_tokens": work.output_tokens()}}), "message_delta"),
        event(json!({}), "message_stop"),
    ];
    let (plan, is_tool) = (work.plan.clone(), structured::tool(&work.body).is_some());
    let tokens = (0..plan.tokens).map(move |place| {
        let delta = match is_tool {
            true => json!({"type": "input_json_delta", "partial_json": plan.token(place)}),
            false => json!({"type": "text_delta", "text": plan.token(place)}),
        };
        event(json!({"index": 0, "delta": delta}), "content_block_delta").token()
    });
    Box::new(before.into_iter().chain(tokens).chain(after))
}
