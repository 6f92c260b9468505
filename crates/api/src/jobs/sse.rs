use std::convert::Infallible;
use std::io::Write;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::Response;
use futures_util::stream;
use raincheck_core::Event;
use raincheck_engine::LogReader;
use raincheck_store::StoreError;
use tokio_util::sync::CancellationToken;

/// How soon a client should reconnect, in milliseconds; the first thing in a stream.
const RETRY: &[u8] = b"retry: 2000\n\n";
/// Shows that the stream is alive. Stands alone: an `id:` line before a comment is an event without data to some clients.
const HEARTBEAT: &[u8] = b": \n\n";

/// When to look again into a log that could not be read because the store had too much to do.
const READ_AGAIN_AFTER: Duration = Duration::from_millis(250);

/// A log as server-sent events, from where the reader stands to the last event of the job. Ends early when the server is
/// closing or the log cannot be read: clients reconnect and go on after the last event they saw.
pub(crate) fn follow(reader: LogReader, closing: CancellationToken, heartbeat: Duration) -> Response {
    let follower = Follower { reader, closing, heartbeat, begun: false };
    let chunks = stream::unfold(follower, async |mut follower| {
        let chunk = follower.next().await?;
        Some((Ok::<_, Infallible>(chunk), follower))
    });
    let mut response = Response::new(Body::from_stream(chunks));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    // Asks nginx not to hold events back.
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    response
}

/// One open stream. There may be tens of thousands, so it holds no buffer of its own.
struct Follower {
    reader: LogReader,
    closing: CancellationToken,
    heartbeat: Duration,
    begun: bool,
}

impl Follower {
    async fn next(&mut self) -> Option<Bytes> {
        if !std::mem::replace(&mut self.begun, true) {
            return Some(Bytes::from_static(RETRY));
        }
        tokio::select! {
            biased;
            () = self.closing.cancelled() => None,
            events = next_events(&mut self.reader) => events.map(|events| encode(&events)),
            () = tokio::time::sleep(self.heartbeat) => Some(Bytes::from_static(HEARTBEAT)),
        }
    }
}

/// The next events; `None` if there are no more, or the log cannot be read. A store that has too much to do just now is
/// asked again: that ends no stream.
pub(crate) async fn next_events(reader: &mut LogReader) -> Option<Vec<Event>> {
    loop {
        match reader.next().await {
            Ok(events) if events.is_empty() => return None,
            Ok(events) => return Some(events),
            Err(StoreError::Overloaded(_)) => tokio::time::sleep(READ_AGAIN_AFTER).await,
            Err(_) => return None,
        }
    }
}

fn encode(events: &[Event]) -> Bytes {
    let mut text = Vec::with_capacity(events.len() * 256);
    for event in events {
        // Memory does not fail to be written to.
        let _ = write!(text, "id: {}\nevent: {}\ndata: ", event.seq, event.body.event_type());
        let data = text.len();
        let _ = serde_json::to_writer(&mut text, event);
        // JSON from elsewhere may be spread over lines, which here would end the field. In JSON they mean what a space does.
        text[data..].iter_mut().filter(|byte| matches!(byte, b'\n' | b'\r')).for_each(|byte| *byte = b' ');
        text.extend_from_slice(b"\n\n");
    }
    text.into()
}

#[cfg(test)]
mod tests {
    use raincheck_core::{EventBody, Json, Progress, Time};

    use super::*;

    #[test]
    fn an_event_is_three_fields_and_its_data_is_one_line() {
        let output = Json::from_text("{\"text\":\r\n \"a\\nb\"}".into()).unwrap();
        let bodies = [EventBody::Progress(Progress::counted(450, 1000, "")), EventBody::Output(output)];
        let event = |(seq, body)| Event { seq, at: Time::EPOCH, attempt: 1, body };
        let events: Vec<Event> = (3..).zip(bodies).map(event).collect();
        insta::assert_snapshot!(String::from_utf8(encode(&events).to_vec()).unwrap());
    }
}
