use std::time::Duration;

use axum::http::StatusCode;
use axum::response::Response;
use raincheck_core::{Event, EventBody, Job, Outcome, State, Tenant};
use serde_json::{Value, json};

use super::why;
use crate::api::Api;
use crate::dialect::{self, Line};
use crate::jobs::{Follower, Next};
use crate::problem::ApiError;
use crate::query::{Query, malformed};
use crate::reply;

/// How long a question for the status is held while there is nothing new to tell: these clients ask up to ten times a second.
const HOLD_MAX: Duration = Duration::from_secs(20);
/// What is younger may not have been told yet, and is not held back for so long...
const FRESH: Duration = Duration::from_secs(2);
/// ...but for so long, unless the request starts or ends meanwhile: where there is always something fresh to tell, it is told
/// three times a second and not ten times.
const HOLD_FRESH: Duration = Duration::from_millis(300);
/// How many of the latest events are looked at for something fresh.
const LOOKED_AT: u8 = 16;

/// Where the addresses of a request begin.
pub(super) struct Place {
    /// This door.
    pub(super) base: String,
    /// The endpoint, as far as it is named in addresses.
    pub(super) app: String,
}

/// Whether `?logs` says so.
pub(super) fn wants_logs(query: &Query) -> Result<bool, ApiError> {
    let Some(text) = query.get::<String>("logs", "0 or 1")? else { return Ok(false) };
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" => Ok(true),
        "0" | "false" | "" => Ok(false),
        _ => Err(malformed("the query parameter \"logs\" should be 0 or 1".to_owned())),
    }
}

/// `GET …/status`: at once if there is news, else as soon as there is, within [`HOLD_MAX`].
pub(super) async fn status(
    api: &Api,
    job: Job,
    tenant: Option<&Tenant>,
    place: &Place,
    logs: bool,
) -> Result<Response, ApiError> {
    let job = if job.life.state.is_final() { job } else { settled(api, job, tenant, logs).await? };
    let lines = match logs {
        true => Some(dialect::lines(api, job.id, tenant, job.life.last_seq).await?),
        false => None,
    };
    let code = if job.life.state.is_final() { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok(reply::json(code, &view(api, &job, place, lines.as_deref())))
}

/// The job once something was told of it, or as it is after a while.
async fn settled(api: &Api, job: Job, tenant: Option<&Tenant>, logs: bool) -> Result<Job, ApiError> {
    let seen = job.life.last_seq;
    let before = seen.saturating_sub(LOOKED_AT.into());
    let latest = api.engine.store().read_log(job.id, tenant, before, LOOKED_AT.into()).await?;
    let now = api.engine.clock().now();
    let is_fresh = |event: &Event| is_news(event, logs) && now.since(event.at) < FRESH;
    let has_fresh = latest.is_some_and(|page| page.events.iter().any(is_fresh));
    // A line that comes while fresh ones are held back only joins them.
    let (hold, lines_count) = if has_fresh { (HOLD_FRESH, false) } else { (HOLD_MAX, logs) };
    let Some(reader) = api.engine.follow(job.id, tenant, seen).await? else { return Ok(job) };
    let mut follower = Follower::new(api, reader);
    let news = async {
        loop {
            match follower.next().await {
                Next::Events(events) if !events.iter().any(|event| is_news(event, lines_count)) => {}
                Next::Silence => {}
                Next::Events(_) | Next::End => return,
            }
        }
    };
    // Boxed: the answer of one that has ended should not carry its size.
    let _ = Box::pin(tokio::time::timeout(hold, news)).await;
    Ok(api.engine.get(job.id, tenant).await?.unwrap_or(job))
}

/// Whether an event changes what the status says.
pub(super) fn is_news(event: &Event, logs: bool) -> bool {
    match &event.body {
        EventBody::Progress(_) => logs && Line::of(event).is_some(),
        EventBody::Output(_) | EventBody::Step(_) => false,
        _ => true,
    }
}

/// The answer to a request that was just accepted.
pub(super) fn queued(api: &Api, job: &Job, place: &Place) -> Value {
    let mut view = view(api, job, place, None);
    // Done before, if it is a repeated one; its client goes on as with a new one.
    view["status"] = json!("IN_QUEUE");
    view["queue_position"] = json!(position(api, job));
    view
}

/// A request as FAL's clients see it. What failed is completed, with an error.
pub(super) fn view(api: &Api, job: &Job, place: &Place, lines: Option<&[Line]>) -> Value {
    let id = dialect::uuid(job.id);
    let url = format!("{}/{}/requests/{id}", place.base, place.app);
    let mut view = json!({
        "request_id": id,
        "response_url": url,
        "status_url": format!("{url}/status"),
        "cancel_url": format!("{url}/cancel"),
    });
    let state = job.life.state_at(api.engine.clock().now());
    let began = job.life.started_at;
    if !state.is_final() && state != State::Running && began.is_none() {
        view["status"] = json!("IN_QUEUE");
        view["queue_position"] = json!(position(api, job));
        return view;
    }
    view["logs"] = lines.map_or(Value::Null, |lines| lines.iter().map(log).collect());
    if !state.is_final() {
        // One that waits for its next attempt too: a request does not go back into the queue.
        view["status"] = json!("IN_PROGRESS");
        return view;
    }
    view["status"] = json!("COMPLETED");
    let took = began.zip(job.life.finished_at).map(|(began, ended)| ended.since(began).as_secs_f64());
    view["metrics"] = json!({ "inference_time": took });
    if let Some(outcome) = job.outcome.as_ref().filter(|outcome| !matches!(outcome, Outcome::Completed(_))) {
        let (detail, error_type) = why(outcome);
        view["error"] = json!(detail);
        view["error_type"] = json!(error_type);
    }
    view
}

fn position(api: &Api, job: &Job) -> usize {
    api.engine.place(job).map_or(0, |(place, _)| place.ahead)
}

fn log(line: &Line) -> Value {
    json!({ "timestamp": line.at, "level": "INFO", "source": "USER", "message": line.message })
}
