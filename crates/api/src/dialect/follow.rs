use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::Response;
use futures_util::Stream;
use raincheck_core::Event;
use raincheck_engine::LogReader;
use tokio_util::sync::CancellationToken;

use crate::api::Api;
use crate::jobs::next_events;

/// Follows a job's log for a stream in a dialect.
pub(crate) struct Follower {
    reader: LogReader,
    closing: CancellationToken,
    heartbeat: Duration,
}

/// What there is to tell next.
pub(crate) enum Next {
    /// These happened.
    Events(Vec<Event>),
    /// Nothing for so long that a sign of life is due.
    Silence,
    /// Nothing will follow: the job has ended, or the server is about to stop.
    End,
}

impl Follower {
    pub(crate) fn new(api: &Api, reader: LogReader) -> Self {
        Self { reader, closing: api.closing.clone(), heartbeat: api.settings.sse_heartbeat }
    }

    pub(crate) async fn next(&mut self) -> Next {
        tokio::select! {
            biased;
            () = self.closing.cancelled() => Next::End,
            events = next_events(&mut self.reader) => events.map_or(Next::End, Next::Events),
            () = tokio::time::sleep(self.heartbeat) => Next::Silence,
        }
    }
}

/// An answer of server-sent events.
pub(crate) fn sse(chunks: impl Stream<Item = Bytes> + Send + 'static) -> Response {
    let chunks = futures_util::StreamExt::map(chunks, Ok::<_, Infallible>);
    let mut response = Response::new(Body::from_stream(chunks));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
    // Asks nginx not to hold events back.
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    response
}
