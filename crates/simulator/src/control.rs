//! The simulator's own endpoints, under `/sim`.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router, body::Bytes};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::Instant;

use crate::config::{SimConfig, Wrong};
use crate::ledger::Ledger;
use crate::requests::{REQUESTS_SHOWN_MAX, Received};
use crate::rules::FaultRule;
use crate::sim::Sim;

/// The routes.
pub(crate) fn router() -> Router<Arc<Sim>> {
    Router::new()
        .route("/", get(about))
        .route("/sim/config", get(config).put(configure))
        .route("/sim/faults", get(faults).post(add_faults).delete(clear_faults))
        .route("/sim/reset", post(reset))
        .route("/sim/ledger", get(ledger))
        .route("/sim/requests", get(requests))
}

async fn about() -> Json<serde_json::Value> {
    Json(json!({
        "name": "raincheck-simulator",
        "about": "Raincheck simulator: stands in for providers; nothing here is real",
        "dialects": ["/openai/v1", "/anthropic/v1", "/fal", "/replicate/v1", "/http"],
        "control": ["/sim/config", "/sim/faults", "/sim/reset", "/sim/ledger", "/sim/requests"]
    }))
}

fn refused(wrong: &Wrong) -> Response {
    (StatusCode::BAD_REQUEST, Json(json!({"error": wrong.to_string()}))).into_response()
}

async fn config(State(sim): State<Arc<Sim>>) -> Json<SimConfig> {
    Json(SimConfig::clone(&sim.config()))
}

async fn configure(State(sim): State<Arc<Sim>>, body: Bytes) -> Response {
    let text = String::from_utf8_lossy(&body);
    match SimConfig::from_json(&text).and_then(|config| sim.configure(config)) {
        Ok(()) => Json(SimConfig::clone(&sim.config())).into_response(),
        Err(wrong) => refused(&wrong),
    }
}

/// Rules for faults.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Faults {
    rules: Vec<FaultRule>,
}

async fn faults(State(sim): State<Arc<Sim>>) -> Json<Faults> {
    let rules = sim.rules();
    Json(Faults { rules: rules.list(Instant::now()).into_iter().cloned().collect() })
}

async fn add_faults(State(sim): State<Arc<Sim>>, body: Bytes) -> Response {
    let read = serde_json::from_slice::<Faults>(&body).map_err(|error| Wrong(error.to_string()));
    let added = read.and_then(|Faults { rules }| {
        rules.iter().try_for_each(FaultRule::check)?;
        sim.rules().add(rules, Instant::now())
    });
    match added {
        Ok(()) => faults(State(sim)).await.into_response(),
        Err(wrong) => refused(&wrong),
    }
}

async fn clear_faults(State(sim): State<Arc<Sim>>) -> StatusCode {
    sim.rules().clear();
    StatusCode::NO_CONTENT
}

async fn reset(State(sim): State<Arc<Sim>>) -> StatusCode {
    sim.reset();
    StatusCode::NO_CONTENT
}

async fn ledger(State(sim): State<Arc<Sim>>) -> Json<Ledger> {
    Json(sim.ledger())
}

/// Which requests are shown.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Shown {
    #[serde(default)]
    after: u64,
    limit: Option<usize>,
}

/// Requests, oldest first.
#[derive(Debug, Serialize)]
struct Page {
    requests: Vec<Received>,
}

async fn requests(State(sim): State<Arc<Sim>>, Query(shown): Query<Shown>) -> Json<Page> {
    Json(Page { requests: sim.requests().after(shown.after, shown.limit.unwrap_or(REQUESTS_SHOWN_MAX)) })
}
