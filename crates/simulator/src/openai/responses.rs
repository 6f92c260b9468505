//! Responses, also in the background.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{files, model, object, output_max};
use crate::answer::{Frame, watch};
use crate::content::tokens_read;
use crate::draw::hash;
use crate::fault::{Fault, FaultKind};
use crate::inbound::Inbound;
use crate::jobs::{Job, Stage};
use crate::refusal::{No, Refusal};
use crate::work::{Demand, Work, begin, id};

/// How long after its end a background Response can be streamed again, by the caller's clock.
const RESUME_MAX: Duration = Duration::from_secs(300);
/// Items on a page, unless it is asked for fewer, and at most.
const PAGE_DEFAULT: usize = 20;
const PAGE_MAX: usize = 100;

pub(crate) async fn create(inbound: Inbound) -> Result<Response, Refusal> {
    let demand = demand(&inbound);
    let mut work = begin(inbound, demand).await?;
    let (stream, background) = (is(&work.body, "stream"), is(&work.body, "background"));
    let job = work.job(work.id("resp_", "response", 48), "", background);
    let epoch = work.inbound.sim.config().epoch;
    if background {
        let job = work.send_off(job);
        return Ok(begun(&work, job, stream, epoch).await);
    }
    let (job, sim) = (Arc::new(job), Arc::clone(&work.inbound.sim));
    let keep = (work.body["store"] != json!(false)).then(|| Arc::clone(&job));
    let keep = move || {
        if let Some(job) = keep {
            sim.jobs().add(job);
        }
    };
    if stream {
        let kept = std::iter::once_with(keep).filter_map(|()| None);
        let frames = object::frames(job, epoch).chain(kept);
        return Ok(work.stream(Box::new(frames), error()));
    }
    let stage = if job.fails { Stage::Failed } else { Stage::Done };
    let response = work.json(StatusCode::OK, |_| object::object(&job, epoch, stage)).await;
    keep();
    Ok(response)
}

fn demand(inbound: &Inbound) -> Result<(Value, Demand), Refusal> {
    let body = inbound.json()?;
    let model = model(inbound, &body)?;
    if is(&body, "background") && body["store"] == json!(false) {
        return Err(inbound.refuse(&No::invalid("Background mode requires store=true.")));
    }
    if let Some(id) = files::missing_file(inbound, &body["input"]) {
        return Err(inbound.refuse(&No::invalid(format!("File with id '{id}' not found."))));
    }
    if let Some(id) = body["previous_response_id"].as_str()
        && inbound.sim.jobs().get(inbound.dialect, id).is_none()
    {
        return Err(inbound.refuse(&No::no_previous(id)));
    }
    let input_tokens = tokens_read([body.get("input"), body.get("instructions"), body.get("tools")]);
    let output_max = output_max(&body, &["max_output_tokens"]);
    Ok((body, Demand { model, input_tokens, output_max, writes: true }))
}

fn is(body: &Value, name: &str) -> bool {
    body[name] == json!(true)
}

/// The error event, where a stream breaks with one.
fn error() -> Frame {
    let message = "The server had an error while processing your request. Sorry about that!";
    let data =
        json!({"type": "error", "code": "server_error", "message": message, "param": null, "sequence_number": 0});
    Frame::event(Some("error"), &data)
}

/// The answer to a request for background work.
async fn begun(work: &Work, job: Arc<Job>, stream: bool, epoch: i64) -> Response {
    if stream {
        let frames = Box::new(object::frames(Arc::clone(&job), epoch));
        return watch(&work.inbound, &job, frames, error(), work.fault.clone());
    }
    let mut response = Json(object::now(&job, epoch)).into_response();
    work.send(&mut response).await;
    work.dress(response)
}

/// The Response of this id.
fn find(inbound: &Inbound, id: &str) -> Result<Arc<Job>, Refusal> {
    let found = inbound.sim.jobs().get(inbound.dialect, id);
    found.ok_or_else(|| inbound.refuse(&No::not_found(format!("Response with id '{id}' not found."))))
}

pub(crate) async fn retrieve(Path(id): Path<String>, inbound: Inbound) -> Result<Response, Refusal> {
    inbound.authenticate()?;
    let fault = inbound.fault("", false, hash(&[inbound.request_id.as_bytes()]))?;
    inbound.meet(fault.as_ref()).await?;
    let job = find(&inbound, &id)?;
    let epoch = inbound.sim.config().epoch;
    if inbound.query("stream") == Some("true") {
        return resume(&inbound, &job, epoch, fault);
    }
    let mut response = Json(object::now(&job, epoch)).into_response();
    if let Some(fault) = &fault {
        crate::answer::go_wrong(&mut response, fault, &inbound.line).await;
    }
    Ok(inbound.dress(response))
}

/// The events of a background Response, after the one that was seen last.
fn resume(inbound: &Inbound, job: &Arc<Job>, epoch: i64, fault: Option<Fault>) -> Result<Response, Refusal> {
    if !job.background || !is(&job.body, "stream") {
        let message =
            "This response cannot be streamed because it was not created with background=true and stream=true.";
        return Err(inbound.refuse(&No::invalid(message)));
    }
    if job.begun.elapsed() > job.length() + RESUME_MAX {
        let message = "This response can no longer be streamed because it is more than 5 minutes old.";
        return Err(inbound.refuse(&No::invalid(message)));
    }
    let seen = inbound.query("starting_after").map(str::parse::<usize>);
    let Ok(seen) = seen.transpose() else {
        return Err(inbound.refuse(&No::invalid("Invalid 'starting_after': it must be an integer.")));
    };
    let frames = object::frames(Arc::clone(job), epoch).skip(seen.map_or(0, |seen| seen.saturating_add(1)));
    let fault = fault.filter(|fault| fault.kind != FaultKind::Fails);
    Ok(watch(inbound, job, Box::new(frames), error(), fault))
}

pub(crate) async fn cancel(Path(id): Path<String>, inbound: Inbound) -> Result<Response, Refusal> {
    inbound.look().await?;
    let job = find(&inbound, &id)?;
    if !job.background {
        return Err(inbound.refuse(&No::invalid("Cannot cancel a synchronous response.")));
    }
    job.cancel_at(Instant::now());
    let epoch = inbound.sim.config().epoch;
    Ok(inbound.dress(Json(object::now(&job, epoch)).into_response()))
}

pub(crate) async fn delete(Path(id): Path<String>, inbound: Inbound) -> Result<Response, Refusal> {
    inbound.look().await?;
    let job = find(&inbound, &id)?;
    job.cancel_at(Instant::now());
    inbound.sim.jobs().remove(&id);
    Ok(inbound.dress(Json(json!({"id": id, "object": "response", "deleted": true})).into_response()))
}

pub(crate) async fn input_items(Path(id): Path<String>, inbound: Inbound) -> Result<Response, Refusal> {
    inbound.look().await?;
    let job = find(&inbound, &id)?;
    let mut items = items(&job);
    if inbound.query("order") != Some("asc") {
        items.reverse();
    }
    if let Some(after) = inbound.query("after") {
        let place = items.iter().position(|item| item["id"] == json!(after));
        items.drain(..place.map_or(0, |place| place + 1));
    }
    let limit = inbound.query("limit").and_then(|limit| limit.parse().ok()).unwrap_or(PAGE_DEFAULT).clamp(1, PAGE_MAX);
    let has_more = items.len() > limit;
    items.truncate(limit);
    let id_of = |item: Option<&Value>| item.map_or(Value::Null, |item| item["id"].clone());
    let page = json!({
        "object": "list", "first_id": id_of(items.first()), "last_id": id_of(items.last()), "has_more": has_more,
        "data": items
    });
    Ok(inbound.dress(Json(page).into_response()))
}

/// What was put in, as items with ids.
fn items(job: &Job) -> Vec<Value> {
    let inputs = match &job.body["input"] {
        Value::Array(items) => items.clone(),
        Value::Null => Vec::new(),
        text => vec![json!({"role": "user", "content": text})],
    };
    let with_id = |(place, mut item): (usize, Value)| {
        if let Some(fields) = item.as_object_mut() {
            fields.entry("type").or_insert(json!("message"));
            fields.entry("id").or_insert(json!(id(job.seeds, "msg_", &format!("input {place}"), 48)));
            fields.entry("status").or_insert(json!("completed"));
            if let Some(text) = fields.get("content").and_then(Value::as_str) {
                let part = json!([{"type": "input_text", "text": text}]);
                fields.insert("content".into(), part);
            }
        }
        item
    };
    inputs.into_iter().enumerate().map(with_id).collect()
}
