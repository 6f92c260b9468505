use std::convert::Infallible;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use futures_util::{StreamExt, stream};
use raincheck_core::{Event, EventBody, JobId};
use raincheck_recipes::Recipe;
use serde_json::json;

use super::{Guest, pages};
use crate::api::Api;
use crate::jobs::{Follower, Next, sse};
use crate::reply::unbuffered;
use crate::websocket;

/// A job as its recipe's callers follow it: `progress`, `output`, `restarted` where an attempt begins anew and what was put
/// out no longer counts, and at last `ended` with the status page. What the job's log says besides is for whoever runs the
/// server.
pub(super) struct Telling {
    pub(super) api: Arc<Api>,
    pub(super) recipe: Arc<Recipe>,
    pub(super) guest: Guest,
    pub(super) job: JobId,
    pub(super) follower: Follower,
}

/// An event as callers are told it.
struct Told {
    seq: u64,
    name: &'static str,
    /// JSON in one line.
    data: String,
}

impl Telling {
    /// What there is to tell next; nothing if a sign of life is due; `None` at the end.
    async fn told(&mut self) -> Option<Vec<Told>> {
        loop {
            let events = match self.follower.next().await {
                Next::Events(events) => events,
                Next::Silence => return Some(Vec::new()),
                Next::End => return None,
            };
            let mut told = Vec::new();
            for event in &events {
                told.extend(self.tell(event).await);
            }
            if !told.is_empty() {
                return Some(told);
            }
        }
    }

    async fn tell(&self, event: &Event) -> Option<Told> {
        let (name, data) = match &event.body {
            EventBody::Progress(progress) => ("progress", json!(progress).to_string()),
            EventBody::Output(output) => ("output", output.as_str().to_owned()),
            EventBody::Started(_) if event.attempt > 1 => {
                ("restarted", json!({ "attempt": event.attempt }).to_string())
            }
            EventBody::Finished(_) => ("ended", pages::told(&self.api, &self.recipe, &self.guest, self.job).await?),
            _ => return None,
        };
        // In JSON a line break between values means what a space does; in a stream it would end the field.
        Some(Told { seq: event.seq, name, data: data.replace(['\n', '\r'], " ") })
    }

    /// All of it as server-sent events.
    pub(super) fn stream(self) -> Response {
        let begin = stream::iter([Ok::<_, Infallible>(Bytes::from_static(sse::RETRY))]);
        let chunks = begin.chain(stream::unfold(self, async |mut telling| {
            let told = telling.told().await?;
            let line = |Told { seq, name, data }| format!("id: {seq}\nevent: {name}\ndata: {data}\n\n");
            let chunk = if told.is_empty() {
                Bytes::from_static(sse::HEARTBEAT)
            } else {
                told.into_iter().map(line).collect::<String>().into()
            };
            Some((Ok(chunk), telling))
        }));
        let mut response = Response::new(Body::from_stream(chunks));
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        unbuffered(response)
    }
}

/// Each event is a message: `{"id": 7, "event": "progress", "data": …}`.
impl websocket::Telling for Telling {
    async fn next(&mut self) -> Option<Vec<String>> {
        let text = |Told { seq, name, data }| format!(r#"{{"id":{seq},"event":"{name}","data":{data}}}"#);
        Some(self.told().await?.into_iter().map(text).collect())
    }
}
