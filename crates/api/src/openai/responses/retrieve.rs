use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use raincheck_core::{Job, Json, Outcome};
use raincheck_store::StoreError;

use super::face::{self, Face};
use super::tale::Tale;
use super::{found, stream};
use crate::api::Api;
use crate::auth::{Caller, Read};
use crate::jobs::JobView;
use crate::openai::served;
use crate::problem::ApiError;
use crate::query::{Query, malformed};
use crate::reply;

/// By which a client is told when to ask again.
const POLL_AFTER: HeaderName = HeaderName::from_static("openai-poll-after-ms");
/// Nobody is told to ask sooner, or later, than this.
const POLL_MIN: Duration = Duration::from_millis(500);
const POLL_MAX: Duration = Duration::from_secs(10);
/// Events of a log that are read at once.
const PAGE: usize = 500;

/// `GET /openai/v1/responses/{id}`: a Response as it is now, or told from the log with `?stream=true`.
pub(crate) async fn retrieve(
    State(api): State<Arc<Api>>,
    caller: Caller<Read>,
    Path(id): Path<String>,
    query: Query,
) -> Result<Response, ApiError> {
    let after: Option<u64> = query.get("starting_after", "the number of an event")?;
    let wants_stream = query.get("stream", "true or false")?.unwrap_or(false);
    if after.is_some() && !wants_stream {
        return Err(malformed("starting_after is of use with stream=true only".to_owned()));
    }
    let (job, face) = found(&api, caller.sees(), &id).await?;
    if wants_stream {
        return stream::stream(&api, &job, face, after).await;
    }
    Ok(shown(&api, &job, face, StatusCode::OK).await?)
}

/// A Response as it is now; one that has not ended says when to ask again.
pub(super) async fn shown(api: &Api, job: &Job, face: Face, status: StatusCode) -> Result<Response, StoreError> {
    let now = api.engine.clock().now();
    let (response, wait) = match &job.outcome {
        Some(outcome) => (ended(api, job, outcome, face).await?, None),
        None => match job.life.started_at {
            // The longer it has taken, the less it matters to hear of its end at once.
            Some(at) => (face.open("in_progress"), Some(now.since(at) / 10)),
            None => (face.open("queued"), Some(JobView::new(job, api).estimated_wait(now))),
        },
    };
    let mut shown = reply::json_text(status, response.as_str().to_owned());
    served::tell(api, job, &mut shown).await?;
    if let Some(wait) = wait {
        let millis = u64::try_from(wait.clamp(POLL_MIN, POLL_MAX).as_millis()).unwrap_or(u64::MAX);
        shown.headers_mut().insert(POLL_AFTER, HeaderValue::from(millis));
    }
    Ok(shown)
}

/// A Response that has ended is what its stream says at the end. Mostly the outcome alone tells that.
async fn ended(api: &Api, job: &Job, outcome: &Outcome, face: Face) -> Result<Json, StoreError> {
    if let (Some(answer), 0..=1) = (face::answer(outcome), job.life.attempt) {
        let at = job.life.finished_at.unwrap_or(job.spec.created_at);
        return Ok(face.completed(answer, at, &face::output(answer)).0);
    }
    let (mut tale, mut seen) = (Tale::new(face), 0);
    while let Some(page) = api.engine.store().read_log(job.id, None, seen, PAGE).await? {
        page.events.iter().for_each(|event| drop(tale.tell(event)));
        let Some(last) = page.events.last() else { break };
        seen = last.seq;
    }
    Ok(tale.end().unwrap_or_default())
}
