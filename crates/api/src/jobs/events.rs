use std::sync::Arc;

use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use raincheck_core::{Event, JobId};
use schemars::JsonSchema;
use serde::Serialize;

use super::{Follower, socket, sse};
use crate::api::Api;
use crate::auth::{Caller, Read};
use crate::path::JobPath;
use crate::problem::ApiError;
use crate::query::{Query, malformed};
use crate::reply;
use crate::websocket::Handshake;

/// Events on a page, unless asked otherwise.
const PAGE_DEFAULT: usize = 100;
/// The header by which an SSE client says what it saw last.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// A part of a job's log.
#[derive(Serialize, JsonSchema)]
pub(crate) struct EventsPage<'a> {
    /// The events, in order.
    #[schemars(with = "Vec<EventSchema>")]
    events: &'a [Event],
    /// The number of the last event of the whole log so far.
    last_seq: u64,
    /// Whether the job has ended, so that nothing will follow `last_seq`.
    ended: bool,
    /// What to give as `after` for the next page; left out once everything there will ever be has been seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<u64>,
}

/// An entry of a job's log.
#[derive(JsonSchema)]
#[schemars(rename = "Event")]
#[expect(dead_code, reason = "the schema of raincheck_core::Event, which knows no schemas")]
pub(crate) struct EventSchema {
    /// Counts from 1 within the job, without gaps.
    seq: u64,
    /// What happened: accepted, started, progress, output, step, follow_up, retry_scheduled, postponed, lease_lost, released,
    /// cancel_requested, log_full, and finally one of completed, failed, cancelled, expired.
    r#type: String,
    /// When it was recorded.
    #[schemars(extend("format" = "date-time"))]
    at: String,
    /// The attempt it belongs to; 0 before the first.
    attempt: u32,
    /// More of it, by type.
    data: serde_json::Value,
}

/// `GET /v1/jobs/{id}/events`: a job's log, as a page, or as a stream or by a WebSocket that follow it to its end.
pub(crate) async fn events(
    State(api): State<Arc<Api>>,
    caller: Caller<Read>,
    JobPath(id): JobPath,
    wishes: Wishes,
    query: Query,
) -> Result<Response, ApiError> {
    let seen = query.get("after", "the number of an event")?.unwrap_or(0);
    if let Some(handshake) = wishes.socket {
        query.only(&["after"])?;
        let reader = api.engine.follow(id, caller.sees(), wishes.last_event_id.unwrap_or(seen)).await?;
        let telling = socket::Telling(Follower::new(&api, reader.ok_or_else(ApiError::no_such_job)?));
        return Ok(handshake.tell(telling, api.closing.clone()));
    }
    if wishes.stream {
        query.only(&["after"])?;
        return stream(api, &caller, id, wishes.last_event_id.unwrap_or(seen)).await;
    }
    query.only(&["after", "limit"])?;
    let limit = query.limit(PAGE_DEFAULT, api.settings.page_max)?;
    let page = api.engine.store().read_log(id, caller.sees(), seen, limit).await?;
    let page = page.ok_or_else(ApiError::no_such_job)?;
    let read_to = page.events.last().map_or(seen, |event| event.seq);
    let next = (!page.ended || read_to < page.last_seq).then_some(read_to);
    let page = EventsPage { events: &page.events, last_seq: page.last_seq, ended: page.ended, next };
    Ok(reply::json(StatusCode::OK, &page))
}

async fn stream(api: Arc<Api>, caller: &Caller<Read>, id: JobId, seen: u64) -> Result<Response, ApiError> {
    let reader = api.engine.follow(id, caller.sees(), seen).await?.ok_or_else(ApiError::no_such_job)?;
    if seen > 0 {
        let job = api.engine.get(id, caller.sees()).await?;
        if job.is_none_or(|job| job.life.state.is_final() && seen >= job.life.last_seq) {
            // What makes a browser's EventSource stop asking: it has seen everything there will ever be.
            return Ok(StatusCode::NO_CONTENT.into_response());
        }
    }
    Ok(sse::stream(&api, reader))
}

/// How the log is wanted.
pub(crate) struct Wishes {
    socket: Option<Handshake>,
    stream: bool,
    last_event_id: Option<u64>,
}

impl<S: Sync> FromRequestParts<S> for Wishes {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let (socket, stream) = (Handshake::of(parts)?, wants_stream(&parts.headers));
        Ok(Self { socket, stream, last_event_id: last_event_id(&parts.headers)? })
    }
}

/// The number of the last event that a client saw, if it says.
pub(crate) fn last_event_id(headers: &HeaderMap) -> Result<Option<u64>, ApiError> {
    let number = |value: &HeaderValue| {
        let number = value.to_str().ok().and_then(|text| text.trim().parse().ok());
        number.ok_or_else(|| malformed("Last-Event-ID should be the number of an event".to_owned()))
    };
    headers.get(LAST_EVENT_ID).map(number).transpose()
}

/// Whether a client accepts a stream of events.
pub(crate) fn wants_stream(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).into_iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|range| {
        let essence = range.split(';').next().unwrap_or_default().trim();
        essence.eq_ignore_ascii_case("text/event-stream")
    })
}
