use std::convert::Infallible;
use std::ops::ControlFlow;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use futures_util::stream;
use raincheck_core::Event;
use raincheck_engine::LogReader;

use crate::api::Api;
use crate::jobs::{Follower, Next};
use crate::reply::unbuffered;

/// Tells what happens to a job in the words of a dialect.
pub(crate) trait Teller: Send + 'static {
    /// Shows that the stream is alive.
    const SIGN_OF_LIFE: &'static [u8];

    /// What these events are told as, which may be nothing; the last piece of the stream if it is over with them.
    fn tell(&mut self, events: &[Event]) -> impl Future<Output = ControlFlow<Bytes, Bytes>> + Send;
}

/// A job's log as server-sent events of a dialect, from where the reader stands, as they come.
pub(crate) fn stream<T: Teller>(api: &Api, reader: LogReader, teller: T) -> Response {
    let telling = Some((Follower::new(api, reader), teller));
    let chunks = stream::unfold(telling, async |telling| {
        let (mut follower, mut teller) = telling?;
        loop {
            let told = match follower.next().await {
                Next::Events(events) => teller.tell(&events).await,
                Next::Silence => ControlFlow::Continue(Bytes::from_static(T::SIGN_OF_LIFE)),
                Next::End => return None,
            };
            match told {
                ControlFlow::Continue(chunk) if chunk.is_empty() => {}
                ControlFlow::Continue(chunk) => return Some((Ok::<_, Infallible>(chunk), Some((follower, teller)))),
                ControlFlow::Break(chunk) => return (!chunk.is_empty()).then_some((Ok(chunk), None)),
            }
        }
    });
    let mut response = Response::new(Body::from_stream(chunks));
    let content_type = HeaderValue::from_static("text/event-stream; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    unbuffered(response)
}
