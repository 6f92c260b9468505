//! Models: any name is served; these are the ones that are listed.

use axum::Json;
use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::inbound::Inbound;
use crate::refusal::Refusal;

const LISTED: &[&str] = &["gpt-sim", "gpt-sim-mini", "gpt-image-sim", "text-embedding-sim"];

fn object(id: &str, epoch: i64) -> Value {
    json!({"id": id, "object": "model", "created": epoch, "owned_by": "raincheck-simulator"})
}

pub(crate) async fn list(inbound: Inbound) -> Result<Response, Refusal> {
    inbound.look().await?;
    let epoch = inbound.sim.config().epoch;
    let data: Vec<Value> = LISTED.iter().map(|id| object(id, epoch)).collect();
    Ok(inbound.dress(Json(json!({"object": "list", "data": data})).into_response()))
}

pub(crate) async fn retrieve(Path(id): Path<String>, inbound: Inbound) -> Result<Response, Refusal> {
    inbound.look().await?;
    let body = object(&id, inbound.sim.config().epoch);
    Ok(inbound.dress(Json(body).into_response()))
}
