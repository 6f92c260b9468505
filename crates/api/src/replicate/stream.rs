use std::ops::ControlFlow;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use raincheck_core::{Event, EventBody, Outcome};
use serde_json::{Value, json};

use super::{find, no_such_prediction, prediction};
use crate::api::Api;
use crate::auth::{Caller, Read};
use crate::dialect::{self, Line, Teller};
use crate::jobs::last_event_id;
use crate::problem::ApiError;

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
    let reader = api.engine.follow(job.id, caller.sees(), seen).await?.ok_or_else(no_such_prediction)?;
    Ok(dialect::stream(&api, reader, Telling { has_output: false }))
}

struct Telling {
    /// Whether output came while the prediction ran, which its result only repeats.
    has_output: bool,
}

impl Teller for Telling {
    /// A comment without a blank line after it, which would be an event to some clients.
    const SIGN_OF_LIFE: &'static [u8] = b":\n";

    async fn tell(&mut self, events: &[Event]) -> ControlFlow<Bytes, Bytes> {
        let text: String = events.iter().map(|event| self.event(event)).collect();
        let is_over = events.iter().any(|event| event.body.event_type().is_final());
        if is_over { ControlFlow::Break(text.into()) } else { ControlFlow::Continue(text.into()) }
    }
}

impl Telling {
    fn event(&mut self, event: &Event) -> String {
        match &event.body {
            EventBody::Output(output) => {
                self.has_output = true;
                frame(event, "output", &words(&output.parse().unwrap_or_default()))
            }
            EventBody::Progress(_) => {
                Line::of(event).map_or_else(String::new, |line| frame(event, "logs", &format!("{}\n", line.message)))
            }
            EventBody::Finished(outcome) => self.end(event, outcome),
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
