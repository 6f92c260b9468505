//! Any slow endpoint, under `/http`: it takes every method and says what it got.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::any;
use serde_json::{Value, json};

use crate::inbound::Inbound;
use crate::refusal::Refusal;
use crate::requests;
use crate::sim::Sim;
use crate::work::{Demand, Work, begin};

/// The routes.
pub(crate) fn router() -> Router<Arc<Sim>> {
    Router::new().route("/http", any(echo)).route("/http/", any(echo)).route("/http/{*rest}", any(echo))
}

async fn echo(inbound: Inbound) -> Result<Response, Refusal> {
    // What is counted as its model, so that rules and limits can be for one path.
    let model = inbound.uri.path().trim_start_matches("/http").to_owned();
    let body = serde_json::from_slice(&inbound.body).unwrap_or(Value::Null);
    let demand = Demand { model, input_tokens: 0, output_max: None, writes: false };
    let work = begin(inbound, Ok((body, demand))).await?;
    Ok(work.json(StatusCode::OK, got).await)
}

fn got(work: &Work) -> Value {
    let inbound = &work.inbound;
    let text = String::from_utf8_lossy(&inbound.body);
    let headers: BTreeMap<String, String> = requests::of_interest(&inbound.headers);
    json!({
        "id": work.id("", "call", 32),
        "method": inbound.method,
        "path": inbound.uri.path(),
        "query": inbound.uri.query(),
        "headers": headers,
        "body": if work.body.is_null() { json!(text) } else { work.body.clone() }
    })
}
