//! Requests that are to start within a time or not at all: `X-Fal-Request-Timeout`. How long they take once they have started
//! is another matter, so that this is no deadline of their job.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use raincheck_core::{Job, Outcome, Problem, ProblemType, Time};
use raincheck_store::StoreError;

use crate::api::Api;
use crate::problem::ApiError;

/// The header with the time, in seconds.
const TIMEOUT: HeaderName = HeaderName::from_static("x-fal-request-timeout");
/// Says whose time-out it was; FAL's clients do not try again what ended by their own.
pub(super) const TIMEOUT_TYPE: (HeaderName, HeaderValue) =
    (HeaderName::from_static("x-fal-request-timeout-type"), HeaderValue::from_static("user"));
/// The label with the moment by which a request has to start, so that it is known after a restart too.
pub(super) const START_BY: &str = "start_by";
/// Why such a request was ended.
const TOO_LATE: &str = "it did not start within the time that X-Fal-Request-Timeout gave it";

/// By when a request that is made now has to start, if its client says so.
pub(super) fn start_by(headers: &HeaderMap, now: Time) -> Result<Option<Time>, ApiError> {
    let Some(value) = headers.get(TIMEOUT) else { return Ok(None) };
    let seconds: Option<f64> = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    let wait = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).filter(|wait| !wait.is_zero());
    let wait = wait.ok_or_else(|| {
        Problem::new(ProblemType::INVALID_REQUEST, "X-Fal-Request-Timeout should be a number of seconds above 0")
    })?;
    Ok(Some(now.after(wait)))
}

/// Ends a request in time, if it has not started by then. Goes on without its client, and only while the request waits.
pub(super) fn watch(api: &Arc<Api>, job: &Job) {
    let Some(start_by) = of(job) else { return };
    let (api, job) = (Arc::clone(api), job.clone());
    let tasks = api.tasks.clone();
    drop(tasks.spawn(async move {
        let Ok(Some(mut reader)) = api.engine.follow(job.id, None, job.life.last_seq).await else { return };
        tokio::select! {
            // Whatever happens to it: it starts, or ends.
            _ = reader.next() => return,
            () = api.closing.cancelled() => return,
            () = tokio::time::sleep(start_by.since(api.engine.clock().now())) => {}
        }
        if let Err(error) = end(&api, &job).await {
            tracing::warn!(%error, "a request that started too late could not be ended; whoever asks for it ends it");
        }
    }));
}

/// The request as it is, once it is ended if it should have started by now: the server may have been started anew since.
pub(super) async fn ended(api: &Api, job: Job) -> Result<Job, StoreError> {
    let waits = job.life.started_at.is_none() && !job.life.state.is_final();
    if !waits || of(&job).is_none_or(|start_by| start_by > api.engine.clock().now()) {
        return Ok(job);
    }
    end(api, &job).await?;
    Ok(api.engine.get(job.id, None).await?.unwrap_or(job))
}

async fn end(api: &Api, job: &Job) -> Result<(), StoreError> {
    api.engine.cancel(job.id, None, Some(TOO_LATE.to_owned())).await.map(drop)
}

/// Whether a request ended because it had not started in time.
pub(super) fn is_late(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Cancelled(Some(reason)) if reason == TOO_LATE)
}

fn of(job: &Job) -> Option<Time> {
    job.spec.labels.get(START_BY)?.parse().ok()
}
