use std::convert::Infallible;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use futures_util::stream;
use raincheck_core::{Event, EventBody, JobId};
use raincheck_engine::LogReader;
use raincheck_recipes::Recipe;
use serde_json::json;

use super::{Guest, pages};
use crate::api::Api;
use crate::jobs::{Follower, Next, sse};
use crate::reply::unbuffered;

/// A job as its recipe's callers follow it, as server-sent events: `progress`, `output`, `restarted` where an attempt begins
/// anew and what was put out no longer counts, and at last `ended` with the status page. What the job's log says besides is
/// for whoever runs the server.
pub(super) fn stream(api: &Arc<Api>, recipe: &Arc<Recipe>, guest: Guest, job: JobId, reader: LogReader) -> Response {
    let follower = Follower::new(api, reader);
    let telling = Telling { api: Arc::clone(api), recipe: Arc::clone(recipe), guest, job, follower, begun: false };
    let chunks = stream::unfold(telling, async |mut telling| {
        let chunk = telling.next().await?;
        Some((Ok::<_, Infallible>(chunk), telling))
    });
    let mut response = Response::new(Body::from_stream(chunks));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    unbuffered(response)
}

struct Telling {
    api: Arc<Api>,
    recipe: Arc<Recipe>,
    guest: Guest,
    job: JobId,
    follower: Follower,
    begun: bool,
}

impl Telling {
    async fn next(&mut self) -> Option<Bytes> {
        if !std::mem::replace(&mut self.begun, true) {
            return Some(Bytes::from_static(sse::RETRY));
        }
        match self.follower.next().await {
            Next::Events(events) => {
                let mut text = String::new();
                for event in &events {
                    self.tell(event, &mut text).await;
                }
                Some(text.into())
            }
            Next::Silence => Some(Bytes::from_static(sse::HEARTBEAT)),
            Next::End => None,
        }
    }

    async fn tell(&self, event: &Event, text: &mut String) {
        let (name, data) = match &event.body {
            EventBody::Progress(progress) => ("progress", json!(progress).to_string()),
            EventBody::Output(output) => ("output", output.as_str().to_owned()),
            EventBody::Started(_) if event.attempt > 1 => {
                ("restarted", json!({ "attempt": event.attempt }).to_string())
            }
            EventBody::Finished(_) => match pages::told(&self.api, &self.recipe, &self.guest, self.job).await {
                Some(page) => ("ended", page),
                None => return,
            },
            _ => return,
        };
        // In JSON a line break between values means what a space does; here it would end the field.
        let data = data.replace(['\n', '\r'], " ");
        text.push_str(&format!("id: {}\nevent: {name}\ndata: {data}\n\n", event.seq));
    }
}
