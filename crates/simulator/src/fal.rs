//! FAL's queue, under `/fal`: submit, status, result, cancel, and the pictures that results point to.

use std::sync::Arc;

use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::answer::{Frame, watch};
use crate::draw::mix;
use crate::inbound::Inbound;
use crate::jobs::{Job, Stage};
use crate::picture;
use crate::refusal::{No, Refusal, Why};
use crate::sim::Sim;
use crate::work::{Demand, begin};

/// Pictures of a request.
const PICTURES_MAX: u64 = 4;
/// How wide and high a picture is unless its size is asked for.
const SIDE_DEFAULT: u32 = 512;

/// The routes. An application is `owner/name`, with a path below it or without.
pub(crate) fn router() -> Router<Arc<Sim>> {
    Router::new()
        .route("/fal/files/{name}", get(picture::serve))
        .route("/fal/{owner}/{app}", post(submit))
        .route("/fal/{owner}/{app}/{*path}", post(submit))
        .route("/fal/{owner}/{app}/requests/{id}", get(result))
        .route("/fal/{owner}/{app}/requests/{id}/status", get(status))
        .route("/fal/{owner}/{app}/requests/{id}/status/stream", get(stream))
        .route("/fal/{owner}/{app}/requests/{id}/cancel", put(cancel))
}

async fn submit(inbound: Inbound) -> Result<Response, Refusal> {
    let model = inbound.uri.path().trim_start_matches("/fal/").to_owned();
    let input = inbound.json();
    let demand = input.map(|body| (body, Demand { model, input_tokens: 0, output_max: None, writes: false }));
    let mut work = begin(inbound, demand).await?;
    let app: Vec<&str> = work.model.split('/').take(2).collect();
    let job = work.job(request_id(&work.id("", "request", 32)), &app.join("/"), true);
    let job = work.send_off(job);
    // It answers under the id of the request that it takes, not of the call.
    work.inbound.request_id.clone_from(&job.id);
    let mut body = urls(&work.inbound, &job);
    body["status"] = json!("IN_QUEUE");
    body["queue_position"] = json!(place(job.stage(Instant::now())));
    let mut response = Json(body).into_response();
    work.send(&mut response).await;
    Ok(work.dress(response))
}

/// 32 digits as the text of a UUID.
fn request_id(hex: &str) -> String {
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..32])
}

fn urls(inbound: &Inbound, job: &Job) -> Value {
    let url = format!("{}/fal/{}/requests/{}", inbound.base(), job.target, job.id);
    json!({
        "request_id": job.id, "response_url": url, "status_url": format!("{url}/status"),
        "cancel_url": format!("{url}/cancel")
    })
}

fn place(stage: Stage) -> u32 {
    match stage {
        Stage::Queued { place } => place,
        _ => 0,
    }
}

type Address = Path<(String, String, String)>;

/// The job of this address, for an inbound that answers under its id.
async fn find(inbound: &mut Inbound, Path((owner, app, id)): Address) -> Result<Arc<Job>, Refusal> {
    inbound.look().await?;
    inbound.request_id.clone_from(&id);
    let found = inbound.sim.jobs().get(inbound.dialect, &id);
    let found = found.filter(|job| job.target == format!("{owner}/{app}"));
    found.ok_or_else(|| inbound.refuse(&No::not_found("Request not found")))
}

/// How a job stands.
fn standing(inbound: &Inbound, job: &Job, stage: Stage, with_logs: bool) -> Value {
    let mut body = urls(inbound, job);
    body["status"] = json!(match stage {
        Stage::Queued { .. } => "IN_QUEUE",
        Stage::Running => "IN_PROGRESS",
        Stage::Done | Stage::Failed | Stage::Cancelled => "COMPLETED",
    });
    if let Stage::Queued { place } = stage {
        body["queue_position"] = json!(place);
        return body;
    }
    body["logs"] = if with_logs { logs(inbound, job) } else { Value::Null };
    if stage.is_over() {
        body["metrics"] = json!({"inference_time": job.plan.simulated(job.plan.whole()).as_secs_f64()});
    }
    if let Some(Ended { message, kind, .. }) = error(job, stage) {
        body["error"] = json!(message);
        body["error_type"] = json!(kind);
    }
    body
}

/// Why there is no result.
struct Ended {
    status: StatusCode,
    message: &'static str,
    kind: &'static str,
}

fn error(job: &Job, stage: Stage) -> Option<Ended> {
    let (status, message, kind) = match (stage, job.fails_with) {
        (Stage::Failed, Some(422)) => (
            StatusCode::UNPROCESSABLE_ENTITY,
            "The content was flagged by a content checker.",
            "content_policy_violation",
        ),
        (Stage::Failed, Some(504)) => {
            (StatusCode::GATEWAY_TIMEOUT, "The request was not started in time.", "startup_timeout")
        }
        (Stage::Failed, status) => {
            let status = status.and_then(|status| StatusCode::from_u16(status).ok());
            let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            (status, "The simulated work failed.", "internal_server_error")
        }
        (Stage::Cancelled, _) => (StatusCode::INTERNAL_SERVER_ERROR, "The request was cancelled.", "client_cancelled"),
        (Stage::Queued { .. } | Stage::Running | Stage::Done, _) => return None,
    };
    Some(Ended { status, message, kind })
}

/// What the work has said so far.
fn logs(inbound: &Inbound, job: &Job) -> Value {
    let epoch = jiff::Timestamp::from_second(inbound.sim.config().epoch).unwrap_or_default().to_string();
    let line =
        |message: String| json!({"message": message, "level": "INFO", "source": "SIMULATOR", "timestamp": epoch});
    job.lines(Instant::now()).into_iter().map(line).collect()
}

async fn status(address: Address, mut inbound: Inbound) -> Result<Response, Refusal> {
    let job = find(&mut inbound, address).await?;
    let stage = job.stage(Instant::now());
    let with_logs = matches!(inbound.query("logs"), Some("1" | "true"));
    let body = standing(&inbound, &job, stage, with_logs);
    let status = if stage.is_over() { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok(inbound.dress((status, Json(body)).into_response()))
}

/// How a job stands, whenever that changes.
async fn stream(address: Address, mut inbound: Inbound) -> Result<Response, Refusal> {
    let job = find(&mut inbound, address).await?;
    let with_logs = matches!(inbound.query("logs"), Some("1" | "true"));
    let (begins, ends) = (job.begun + job.plan.queue, job.begun + job.length());
    let last = job.stage(ends);
    let changes = [(Stage::Queued { place: 0 }, job.begun), (Stage::Running, begins), (last, ends)];
    let now = Instant::now();
    let current = job.stage(now);
    let frame = |(stage, at): (Stage, Instant)| Frame {
        at: Some(at),
        ..Frame::event(None, &standing(&inbound, &job, stage, with_logs))
    };
    let frames: Vec<Frame> = if current.is_over() {
        vec![Frame::event(None, &standing(&inbound, &job, current, with_logs))]
    } else {
        let skipped = usize::from(current == Stage::Running);
        changes.into_iter().skip(skipped).map(frame).collect()
    };
    let error = Frame::event(None, &No::new(500, Why::Server, "Internal server error").body(inbound.dialect, &job.id));
    Ok(watch(&inbound, &job, Box::new(frames.into_iter()), error, None))
}

async fn result(address: Address, mut inbound: Inbound) -> Result<Response, Refusal> {
    let job = find(&mut inbound, address).await?;
    match job.stage(Instant::now()) {
        Stage::Done => Ok(inbound.dress(Json(pictures(&inbound, &job)).into_response())),
        stage => Err(match error(&job, stage) {
            Some(Ended { status, message, kind }) => {
                // What is wrong with what was asked for is told by its place.
                let place = json!([{"loc": ["body", "prompt"], "msg": message, "type": kind, "input": null}]);
                let detail = if status == StatusCode::UNPROCESSABLE_ENTITY { place } else { json!(message) };
                let mut response = Json(json!({"detail": detail, "error_type": kind})).into_response();
                *response.status_mut() = status;
                inbound.dress(response).into()
            }
            None => inbound.refuse(&No::invalid("Request is still in progress")),
        }),
    }
}

fn size(input: &Value) -> (u32, u32) {
    let side = |name: &str| input["image_size"][name].as_u64().and_then(|side| u32::try_from(side).ok());
    (side("width").unwrap_or(SIDE_DEFAULT), side("height").unwrap_or(SIDE_DEFAULT))
}

fn pictures(inbound: &Inbound, job: &Job) -> Value {
    let (width, height) = size(&job.body);
    let count = job.body["num_images"].as_u64().unwrap_or(1).clamp(1, PICTURES_MAX);
    let picture = |number: u64| {
        let url = picture::url(&inbound.base(), mix(job.plan.seed() ^ number), width, height);
        json!({"url": url, "width": width, "height": height, "content_type": "image/png"})
    };
    json!({
        "images": (0..count).map(picture).collect::<Vec<_>>(),
        "timings": {"inference": job.plan.simulated(job.plan.whole()).as_secs_f64()},
        "seed": job.body["seed"].as_u64().unwrap_or(job.plan.seed() >> 32),
        "has_nsfw_concepts": vec![job.flagged; usize::try_from(count).unwrap_or(1)],
        "prompt": job.body["prompt"]
    })
}

async fn cancel(address: Address, mut inbound: Inbound) -> Result<Response, Refusal> {
    let job = find(&mut inbound, address).await?;
    let cancelled = job.cancel_at(Instant::now());
    let (status, said) = if cancelled || job.cancelled_at().is_some() {
        (StatusCode::ACCEPTED, "CANCELLATION_REQUESTED")
    } else {
        (StatusCode::BAD_REQUEST, "ALREADY_COMPLETED")
    };
    Ok(inbound.dress((status, Json(json!({"status": said}))).into_response()))
}
