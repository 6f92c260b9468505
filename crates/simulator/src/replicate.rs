//! Replicate, under `/replicate/v1`.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use axum::{Json, Router};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until};

use crate::content::tokens_read;
use crate::inbound::Inbound;
use crate::jobs::{Job, Stage};
use crate::refusal::{No, Refusal};
use crate::sim::Sim;
use crate::work::{Demand, begin};

/// How long a request may wait for the end of its prediction, and does if it doesn't say how long.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// The routes.
pub(crate) fn router() -> Router<Arc<Sim>> {
    Router::new()
        .route("/replicate/v1/predictions", post(create))
        .route("/replicate/v1/models/{owner}/{name}/predictions", post(create))
        .route("/replicate/v1/deployments/{owner}/{name}/predictions", post(create))
        .route("/replicate/v1/models/{owner}/{name}/versions/{id}", get(version))
        .route("/replicate/v1/predictions/{id}", get(retrieve))
        .route("/replicate/v1/predictions/{id}/cancel", post(cancel))
        .route("/replicate/{*rest}", any(unknown))
}

async fn unknown(inbound: Inbound) -> Refusal {
    inbound.refuse(&No::not_found("The requested resource could not be found."))
}

async fn create(inbound: Inbound) -> Result<Response, Refusal> {
    let wait = wait(inbound.header("prefer").unwrap_or_default());
    let demand = demand(&inbound);
    let mut work = begin(inbound, demand).await?;
    let job = work.job(work.id("", "prediction", 26), "", true);
    let job = work.send_off(job);
    if let Some(wait) = wait {
        let until = (Instant::now() + wait).min(job.begun + job.length());
        job.cancel.run_until_cancelled(sleep_until(until)).await;
    }
    let stage = match job.stage(Instant::now()) {
        // Their clients take whatever is not `starting` for the end.
        Stage::Running => Stage::Queued { place: 0 },
        stage => stage,
    };
    let mut response = (StatusCode::CREATED, Json(prediction(&work.inbound, &job, stage))).into_response();
    work.send(&mut response).await;
    Ok(work.dress(response))
}

fn demand(inbound: &Inbound) -> Result<(Value, Demand), Refusal> {
    let body = inbound.json()?;
    let segments: Vec<&str> = inbound.uri.path().split('/').collect();
    let model = match segments[..] {
        [.., owner, name, "predictions"] if segments.len() > 5 => format!("{owner}/{name}"),
        _ => match body["version"].as_str().or(body["model"].as_str()) {
            Some(version) => version.to_owned(),
            None => return Err(inbound.refuse(&No::new(422, crate::refusal::Why::Invalid, "version is required"))),
        },
    };
    let input_tokens = tokens_read([body.get("input")]);
    let output_max = body["input"]["max_tokens"].as_u64().and_then(|most| u32::try_from(most).ok());
    Ok((body, Demand { model, input_tokens, output_max, writes: true }))
}

/// How long `Prefer: wait` or `wait=N` lets us wait.
fn wait(prefer: &str) -> Option<Duration> {
    let wait = prefer.split(',').map(str::trim).find(|part| part.split('=').next() == Some("wait"))?;
    let seconds = wait.split_once('=').and_then(|(_, seconds)| seconds.trim().parse().ok());
    Some(seconds.map_or(WAIT_MAX, Duration::from_secs).min(WAIT_MAX))
}

fn prediction(inbound: &Inbound, job: &Job, stage: Stage) -> Value {
    let epoch = inbound.sim.config().epoch;
    let time = |after: Duration| {
        let after = i64::try_from(job.plan.simulated(after).as_secs()).unwrap_or_default();
        json!(Timestamp::from_second(epoch + after).unwrap_or_default().to_string())
    };
    let status = match stage {
        Stage::Queued { .. } => "starting",
        Stage::Running => "processing",
        Stage::Done => "succeeded",
        Stage::Failed => "failed",
        Stage::Cancelled => "canceled",
    };
    let begun = !matches!(stage, Stage::Queued { .. });
    let output: Vec<String> = match stage {
        Stage::Done => (0..job.plan.tokens).map(|place| job.plan.token(place)).collect(),
        Stage::Running => (0..job.tokens_written(Instant::now())).map(|place| job.plan.token(place)).collect(),
        _ => Vec::new(),
    };
    let url = format!("{}/replicate/v1/predictions/{}", inbound.base(), job.id);
    let seconds = |length: Duration| job.plan.simulated(length).as_secs_f64();
    let metrics = json!({"predict_time": seconds(job.plan.whole()), "total_time": seconds(job.length())});
    json!({
        "id": job.id,
        "model": job.model,
        "version": job.body.get("version").cloned().unwrap_or(json!("hidden")),
        "input": job.body.get("input").cloned().unwrap_or(json!({})),
        "output": if output.is_empty() { Value::Null } else { json!(output) },
        "logs": job.lines(Instant::now()).iter().map(|line| format!("{line}\n")).collect::<String>(),
        "error": if stage == Stage::Failed { json!("The simulated work failed.") } else { Value::Null },
        "status": status,
        "data_removed": false,
        "created_at": time(Duration::ZERO),
        "started_at": if begun { time(job.plan.queue) } else { Value::Null },
        "completed_at": if stage.is_over() { time(job.length()) } else { Value::Null },
        "metrics": if stage == Stage::Done { metrics } else { json!({}) },
        "urls": {"get": url, "cancel": format!("{url}/cancel")}
    })
}

fn find(inbound: &Inbound, id: &str) -> Result<Arc<Job>, Refusal> {
    let found = inbound.sim.jobs().get(inbound.dialect, id);
    found.ok_or_else(|| inbound.refuse(&No::not_found("The requested resource could not be found.")))
}

/// A version of a model, which clients ask whether its output comes in pieces.
async fn version(Path((_, _, id)): Path<(String, String, String)>, inbound: Inbound) -> Result<Response, Refusal> {
    inbound.look().await?;
    let output = json!({"type": "array", "items": {"type": "string"}, "x-cog-array-type": "iterator"});
    let created_at = Timestamp::from_second(inbound.sim.config().epoch).unwrap_or_default().to_string();
    let schema = json!({"components": {"schemas": {"Input": {"type": "object"}, "Output": output}}});
    let body = json!({"id": id, "created_at": created_at, "cog_version": "0.0.0", "openapi_schema": schema});
    Ok(inbound.dress(Json(body).into_response()))
}

async fn retrieve(Path(id): Path<String>, inbound: Inbound) -> Result<Response, Refusal> {
    inbound.look().await?;
    let job = find(&inbound, &id)?;
    let body = prediction(&inbound, &job, job.stage(Instant::now()));
    Ok(inbound.dress(Json(body).into_response()))
}

async fn cancel(Path(id): Path<String>, inbound: Inbound) -> Result<Response, Refusal> {
    inbound.look().await?;
    let job = find(&inbound, &id)?;
    job.cancel_at(Instant::now());
    let body = prediction(&inbound, &job, job.stage(Instant::now()));
    Ok(inbound.dress(Json(body).into_response()))
}
