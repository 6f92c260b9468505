use std::convert::Infallible;
use std::io::Write;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use futures_util::stream;
use raincheck_core::Event;
use raincheck_engine::LogReader;

use super::follow::{Follower, Next};
use crate::api::Api;
use crate::reply::unbuffered;

/// How soon a client should reconnect, in milliseconds; the first thing in a stream.
pub(crate) const RETRY: &[u8] = b"retry: 2000\n\n";
/// Shows that the stream is alive. Stands alone: an `id:` line before a comment is an event without data to some clients.
pub(crate) const HEARTBEAT: &[u8] = b": \n\n";

/// A log as server-sent events, from where the reader stands to the last event of the job. Ends early when the server is
/// closing or the log cannot be read: clients reconnect and go on after the last event they saw.
pub(crate) fn stream(api: &Api, reader: LogReader) -> Response {
    let telling = Telling { follower: Follower::new(api, reader), begun: false };
    let chunks = stream::unfold(telling, async |mut telling| {
        let chunk = telling.next().await?;
        Some((Ok::<_, Infallible>(chunk), telling))
    });
    let mut response = Response::new(Body::from_stream(chunks));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    unbuffered(response)
}

struct Telling {
    follower: Follower,
    begun: bool,
}

impl Telling {
    async fn next(&mut self) -> Option<Bytes> {
        if !std::mem::replace(&mut self.begun, true) {
            return Some(Bytes::from_static(RETRY));
        }
        match self.follower.next().await {
            Next::Events(events) => Some(encode(&events)),
            Next::Silence => Some(Bytes::from_static(HEARTBEAT)),
            Next::End => None,
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
