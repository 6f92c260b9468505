//! OpenAI, under `/openai/v1`.

mod chat;
mod counting;
mod embeddings;
mod files;
mod images;
mod models;
mod multipart;
mod object;
mod responses;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};
use serde_json::Value;

use crate::inbound::Inbound;
use crate::refusal::{No, Refusal};
use crate::sim::Sim;

/// The routes.
pub(crate) fn router() -> Router<Arc<Sim>> {
    Router::new()
        .route("/openai/v1/responses", post(responses::create))
        .route("/openai/v1/responses/input_tokens", post(counting::input_tokens))
        .route("/openai/v1/responses/{id}", get(responses::retrieve).delete(responses::delete))
        .route("/openai/v1/responses/{id}/cancel", post(responses::cancel))
        .route("/openai/v1/responses/{id}/input_items", get(responses::input_items))
        .route("/openai/v1/chat/completions", post(chat::create))
        .route("/openai/v1/embeddings", post(embeddings::create))
        .route("/openai/v1/files", get(files::list).post(files::upload))
        .route("/openai/v1/files/{id}", get(files::retrieve).delete(files::delete))
        .route("/openai/v1/files/{id}/content", get(files::content))
        .route("/openai/v1/images/generations", post(images::generate))
        .route("/openai/v1/models", get(models::list))
        .route("/openai/v1/models/{id}", get(models::retrieve))
        .route("/openai/{*rest}", axum::routing::any(unknown))
}

async fn unknown(inbound: Inbound) -> Refusal {
    let message = format!("Invalid URL ({} {})", inbound.method, inbound.uri.path());
    inbound.refuse(&No::not_found(message))
}

/// The model that is asked for.
fn model(inbound: &Inbound, body: &Value) -> Result<String, Refusal> {
    let model = body["model"].as_str().filter(|model| !model.is_empty());
    let missing = || inbound.refuse(&No::invalid("Missing required parameter: 'model'."));
    model.map(str::to_owned).ok_or_else(missing)
}

/// A limit in tokens, by the first of these names that is given.
fn output_max(body: &Value, names: &[&str]) -> Option<u32> {
    let given = names.iter().find_map(|name| body[*name].as_u64())?;
    Some(u32::try_from(given).unwrap_or(u32::MAX))
}
