//! How many tokens a request has: told at once, and no work.

use axum::Json;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::model;
use crate::content::tokens_read;
use crate::inbound::Inbound;
use crate::refusal::Refusal;

pub(crate) async fn input_tokens(inbound: Inbound) -> Result<Response, Refusal> {
    inbound.look().await?;
    let body = inbound.json()?;
    model(&inbound, &body)?;
    let tokens = tokens_read([body.get("input"), body.get("instructions"), body.get("tools")]);
    let told = json!({"object": "response.input_tokens", "input_tokens": tokens});
    Ok(inbound.dress(Json(told).into_response()))
}
