//! How answers are sent: whole, or as a stream, and with whatever is to go wrong on the way.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use serde_json::Value;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::emitter::Emitter;
use crate::fault::{Fault, FaultKind, METADATA, OVERSIZE};
use crate::inbound::Inbound;
use crate::jobs::Job;
use crate::ledger::End;
use crate::line::Line;
use crate::refusal::cut;
use crate::work::Work;

/// What a slow drip gives at once, and how long it waits unless it is told.
const DRIP_BYTES: usize = 8;
pub(crate) const DRIP_WAIT: Duration = Duration::from_millis(100);
/// How many zeros are sent at once.
const ZEROS: usize = 64 * 1024;
/// How long the first part of an answer has to get out before the connection is reset: what is not sent is lost.
pub(crate) const BEFORE_RESET: Duration = Duration::from_millis(50);
/// What is no JSON.
pub(crate) const GARBAGE: &str = "{\"broken\": \"\u{fffd}, ]}";

/// A piece of a stream.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) text: String,
    /// It brings the next token, and comes when that is due.
    pub(crate) is_token: bool,
    /// When it comes, if that does not depend on when the one before it was sent.
    pub(crate) at: Option<Instant>,
}

impl Frame {
    /// A server-sent event. OpenAI's Chat Completions and FAL name none.
    pub(crate) fn event(name: Option<&str>, data: &Value) -> Self {
        let text = name.map_or_else(|| format!("data: {data}\n\n"), |name| format!("event: {name}\ndata: {data}\n\n"));
        Self { text, is_token: false, at: None }
    }

    pub(crate) fn token(self) -> Self {
        Self { is_token: true, ..self }
    }
}

/// The pieces of a stream, made as they are sent.
pub(crate) type Frames = Box<dyn Iterator<Item = Frame> + Send>;

impl Work {
    /// Does the whole work, and then gives `body`.
    pub(crate) async fn json(mut self, status: StatusCode, body: impl FnOnce(&Self) -> Value) -> Response {
        self.done().await;
        let mut response = (status, axum::Json(body(&self))).into_response();
        self.send(&mut response).await;
        self.dress(response)
    }

    /// Waits until the work is done. Dropped before, it was aborted.
    pub(crate) async fn done(&mut self) {
        let whole = self.plan.whole();
        // The timer rounds up to whole milliseconds, and nothing would become one.
        if !whole.is_zero() {
            tokio::time::sleep(whole).await;
        }
        self.running.wrote(self.output_tokens());
        self.running.end(if self.has(FaultKind::Fails) { End::Failed } else { End::Completed });
    }

    /// Lets the fault happen to an answer that is whole.
    pub(crate) async fn send(&self, response: &mut Response) {
        if let Some(fault) = &self.fault {
            go_wrong(response, fault, &self.inbound.line).await;
        }
    }

    /// Streams; the work is done when the last frame is sent. `error` is the dialect's error event.
    pub(crate) fn stream(self, frames: Frames, error: Frame) -> Response {
        let response = self.dress(event_stream());
        let line = self.inbound.line.clone();
        let Self { plan, fault, running, .. } = self;
        let cancel = CancellationToken::new();
        with_body(response, Emitter::new(frames, error, plan, fault, line, cancel).of(running))
    }
}

/// A stream of the events of a job, which goes on without it; it ends early when the job is cancelled.
pub(crate) fn watch(inbound: &Inbound, job: &Arc<Job>, frames: Frames, error: Frame, fault: Option<Fault>) -> Response {
    let response = inbound.dress(event_stream());
    let emitter = Emitter::new(frames, error, job.plan.clone(), fault, inbound.line.clone(), job.cancel.clone());
    with_body(response, emitter.watching(Arc::clone(job)))
}

fn event_stream() -> Response {
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

fn with_body(mut response: Response, emitter: Emitter) -> Response {
    *response.body_mut() = Body::from_stream(stream::unfold(emitter, Emitter::next));
    response
}

/// Lets a fault happen to an answer that is whole.
pub(crate) async fn go_wrong(response: &mut Response, fault: &Fault, line: &Line) {
    if fault.kind == FaultKind::LostAnswer {
        line.reset();
        *response = cut();
        return;
    }
    match fault.kind {
        FaultKind::WebPage => {
            *response = Html("<!doctype html><title>Not here</title><p>This is no answer.</p>").into_response();
            return;
        }
        FaultKind::Redirected => {
            *response = (StatusCode::FOUND, [(header::LOCATION, METADATA)]).into_response();
            return;
        }
        _ => {}
    }
    let body = std::mem::take(response.body_mut());
    let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    response.headers_mut().remove(header::CONTENT_LENGTH);
    *response.body_mut() = faulty(bytes, fault, line.clone());
}

/// What a body is sent in.
pub(crate) type Chunk = Result<Bytes, io::Error>;

/// A whole answer with a fault in it.
fn faulty(bytes: Bytes, fault: &Fault, line: Line) -> Body {
    let half = bytes.len() / 2;
    let wait = fault.wait();
    let (start, rest) = (bytes.slice(..half), bytes.slice(half..));
    match fault.kind {
        FaultKind::ResetMid => {
            Body::from_stream(stream::unfold((0, start, line), async |(step, start, line)| match step {
                0 => Some((Chunk::Ok(start.clone()), (1, start, line))),
                _ => {
                    tokio::time::sleep(BEFORE_RESET).await;
                    line.reset();
                    Some((Err(io::Error::from(io::ErrorKind::ConnectionReset)), (2, start, line)))
                }
            }))
        }
        FaultKind::Stall => pieces([start, rest].into(), wait),
        FaultKind::Truncate => Body::from(start),
        FaultKind::Malformed => Body::from([&start[..], GARBAGE.as_bytes()].concat()),
        FaultKind::Oversized => oversized(bytes),
        FaultKind::SlowDrip => pieces(drops(&bytes).collect(), Some(wait.unwrap_or(DRIP_WAIT))),
        _ => Body::from(bytes),
    }
}

/// Pieces with a wait before each but the first: this long, or for ever.
fn pieces(pieces: VecDeque<Bytes>, wait: Option<Duration>) -> Body {
    Body::from_stream(stream::unfold((pieces, true, wait), async |(mut pieces, first, wait)| {
        let piece = pieces.pop_front()?;
        match wait {
            Some(wait) if !first => tokio::time::sleep(wait).await,
            None if !first => std::future::pending().await,
            _ => {}
        }
        Some((Chunk::Ok(piece), (pieces, false, wait)))
    }))
}

/// The bytes, and zeros behind them.
fn oversized(bytes: Bytes) -> Body {
    let zeros = Bytes::from_static(&[0; ZEROS]);
    let padding = (bytes.len()..OVERSIZE).step_by(ZEROS).map(move |_| zeros.clone());
    Body::from_stream(stream::iter(std::iter::once(bytes).chain(padding).map(Chunk::Ok)))
}

/// The pieces of a slow drip.
pub(crate) fn drops(bytes: &Bytes) -> impl Iterator<Item = Bytes> {
    (0..bytes.len()).step_by(DRIP_BYTES).map(|from| bytes.slice(from..bytes.len().min(from + DRIP_BYTES)))
}
