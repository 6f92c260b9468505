use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use futures_util::stream;
use raincheck_core::{Event, EventBody, Outcome};
use serde_json::{Value, json};

use super::{find, prediction};
use crate::api::Api;
use crate::auth::{Caller, Read};
use crate::dialect::{Follower, Line, Next, sse};
use crate::jobs::last_event_id;
use crate::problem::ApiError;

/// Shows that the stream is alive: a comment without a blank line after it, which would be an event to some clients.
const HEARTBEAT: &[u8] = b":\n";

/// `GET /v1/predictions/{id}/stream`: `output`, `logs` and `error` as they come, and `done`. Every event has an id, and after a
/// disconnect the stream goes on behind `Last-Event-ID`.
pub(super) async fn stream(
    State(api): State<Arc<Api>>,
    caller: Caller<Read>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let job = find(&api, &id, caller.sees()).await?;
    let seen = last_event_id(&headers)?.unwrap_or(0);
    let reader = api.engine.follow(job.id, caller.sees(), seen).await?.ok_or_else(ApiError::no_such_job)?;
    let telling = Telling { follower: Follower::new(&api, reader), has_output: false, is_over: false };
    Ok(sse(stream::unfold(telling, async |mut telling| {
        let chunk = telling.next().await?;
        Some((chunk, telling))
    })))
}

struct Telling {
    follower: Follower,
    /// Whether output came while the prediction ran, which its result only repeats.
    has_output: bool,
    is_over: bool,
}

impl Telling {
    async fn next(&mut self) -> Option<Bytes> {
        while !self.is_over {
            let events = match self.follower.next().await {
                Next::Events(events) => events,
                Next::Silence => return Some(Bytes::from_static(HEARTBEAT)),
                Next::End => return None,
            };
            let text: String = events.iter().map(|event| self.tell(event)).collect();
            if !text.is_empty() {
                return Some(text.into());
            }
        }
        None
    }

    fn tell(&mut self, event: &Event) -> String {
        match &event.body {
            EventBody::Output(output) => {
                self.has_output = true;
                frame(event, "output", &words(&output.parse().unwrap_or_default()))
            }
            EventBody::Progress(_) => {
                Line::of(event).map_or_else(String::new, |line| frame(event, "logs", &format!("{}\n", line.message)))
            }
            EventBody::Finished(outcome) => {
                self.is_over = true;
                self.end(event, outcome)
            }
            _ => String::new(),
        }
    }

    fn end(&self, event: &Event, outcome: &Outcome) -> String {
        let (told, reason) = match outcome {
            Outcome::Completed(_) if self.has_output => (String::new(), json!({})),
            Outcome::Completed(_) => {
                let pieces = match prediction::output(outcome) {
                    Value::Array(pieces) => pieces,
                    Value::Null => Vec::new(),
                    whole => vec![whole],
                };
                (pieces.iter().map(|piece| frame(event, "output", &words(piece))).collect(), json!({}))
            }
            Outcome::Cancelled(_) => (String::new(), json!({ "reason": "canceled" })),
            Outcome::Failed(_) | Outcome::Expired => {
                let detail = prediction::error(outcome).unwrap_or_default();
                let error = json!({ "detail": detail }).to_string();
                (frame(event, "error", &error), json!({ "reason": "error" }))
            }
        };
        told + &frame(event, "done", &reason.to_string())
    }
}

/// A piece of output as text.
fn words(piece: &Value) -> String {
    piece.as_str().map_or_else(|| piece.to_string(), str::to_owned)
}

/// An event; each line of its data is a field.
fn frame(event: &Event, name: &str, data: &str) -> String {
    let data: String = data.split('\n').map(|line| format!("data: {}\n", line.replace('\r', ""))).collect();
    format!("id: {}\nevent: {name}\n{data}\n", event.seq)
}
