use axum::body::Bytes;
use axum::response::Response;
use futures_util::stream;
use raincheck_core::{Event, EventBody, JobId, Json, Outcome, Tenant};
use serde_json::{Value, json};

use super::{failed, message};
use crate::api::Api;
use crate::dialect::{Fields, Follower, Next, sse};
use crate::problem::ApiError;

/// Shows that the stream is alive.
const PING: &[u8] = b"event: ping\ndata: {\"type\":\"ping\"}\n\n";

/// The events of a message as Anthropic streams them, from the first, as they come.
pub(super) async fn stream(api: &Api, job: JobId, tenant: Option<&Tenant>) -> Result<Response, ApiError> {
    let reader = api.engine.follow(job, tenant, 0).await?.ok_or_else(ApiError::no_such_job)?;
    let telling = Telling { job, follower: Follower::new(api, reader), has_begun: false, is_over: false };
    Ok(sse(stream::unfold(telling, async |mut telling| {
        let chunk = telling.next().await?;
        Some((chunk, telling))
    })))
}

struct Telling {
    job: JobId,
    follower: Follower,
    /// Whether something of the message was sent, which cannot be taken back.
    has_begun: bool,
    is_over: bool,
}

impl Telling {
    async fn next(&mut self) -> Option<Bytes> {
        while !self.is_over {
            let events = match self.follower.next().await {
                Next::Events(events) => events,
                Next::Silence => return Some(Bytes::from_static(PING)),
                Next::End => return None,
            };
            let mut text = String::new();
            for event in &events {
                self.tell(event, &mut text);
                if self.is_over {
                    break;
                }
            }
            if !text.is_empty() {
                return Some(text.into());
            }
        }
        None
    }

    fn tell(&mut self, event: &Event, text: &mut String) {
        match &event.body {
            EventBody::Output(output) => {
                self.has_begun = true;
                text.push_str(&self.output(output));
            }
            // An attempt that failed is followed by another, whose message starts anew; a stream of this dialect cannot.
            EventBody::Started(_) if self.has_begun => {
                let message = "the message starts anew, because the attempt that wrote it failed; read it again";
                self.end(
                    &json!({ "type": "error", "error": { "type": "overloaded_error", "message": message } }),
                    text,
                );
            }
            EventBody::Finished(Outcome::Completed(_)) => self.is_over = true,
            EventBody::Finished(outcome) => self.end(&failed::envelope(outcome), text),
            _ => {}
        }
    }

    fn output(&self, output: &Json) -> String {
        let Some(mut fields) = Fields::of(output.as_str()) else { return String::new() };
        let kind: String = fields.get("type").and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        if kind == "message_start"
            && let Some(message) = fields.get("message")
        {
            let message = message::with_id(self.job, message);
            fields.set("message", &message);
        }
        frame(&kind, fields.json().as_str())
    }

    fn end(&mut self, error: &Value, text: &mut String) {
        self.is_over = true;
        text.push_str(&frame("error", &error.to_string()));
    }
}

/// An event. Its name is what these clients go by; JSON spread over lines would end the field.
fn frame(name: &str, data: &str) -> String {
    let name: String = name.chars().filter(|letter| letter.is_ascii_alphanumeric() || *letter == '_').collect();
    format!("event: {name}\ndata: {}\n\n", data.replace(['\n', '\r'], " "))
}
