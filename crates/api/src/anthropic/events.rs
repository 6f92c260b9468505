use std::ops::ControlFlow;

use axum::body::Bytes;
use axum::response::Response;
use raincheck_core::{Event, EventBody, JobId, Json, Outcome, Tenant};
use serde_json::{Value, json};

use super::{failed, message};
use crate::api::Api;
use crate::dialect::{self, Fields, Teller};
use crate::problem::ApiError;

/// The events of a message as Anthropic streams them, from the first, as they come.
pub(super) async fn stream(api: &Api, job: JobId, tenant: Option<&Tenant>) -> Result<Response, ApiError> {
    let reader = api.engine.follow(job, tenant, 0).await?.ok_or_else(message::no_such_message)?;
    Ok(dialect::stream(api, reader, Telling { job, has_begun: false }))
}

struct Telling {
    job: JobId,
    /// Whether something of the message was sent, which cannot be taken back.
    has_begun: bool,
}

impl Teller for Telling {
    const SIGN_OF_LIFE: &'static [u8] = b"event: ping\ndata: {\"type\":\"ping\"}\n\n";

    async fn tell(&mut self, events: &[Event]) -> ControlFlow<Bytes, Bytes> {
        let mut text = String::new();
        for event in events {
            if self.event(event, &mut text).is_break() {
                return ControlFlow::Break(text.into());
            }
        }
        ControlFlow::Continue(text.into())
    }
}

impl Telling {
    fn event(&mut self, event: &Event, text: &mut String) -> ControlFlow<()> {
        match &event.body {
            EventBody::Output(output) => {
                self.has_begun = true;
                text.push_str(&self.output(output));
            }
            // An attempt that failed is followed by another, whose message starts anew; a stream of this dialect cannot.
            EventBody::Started(_) if self.has_begun => {
                let message = "the message starts anew, because the attempt that wrote it failed; read it again";
                text.push_str(&error(
                    &json!({ "type": "error", "error": { "type": "overloaded_error", "message": message } }),
                ));
                return ControlFlow::Break(());
            }
            EventBody::Finished(outcome) => {
                if !matches!(outcome, Outcome::Completed(_)) {
                    text.push_str(&error(&failed::envelope(outcome)));
                }
                return ControlFlow::Break(());
            }
            _ => {}
        }
        ControlFlow::Continue(())
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
}

fn error(error: &Value) -> String {
    frame("error", &error.to_string())
}

/// An event. Its name is what these clients go by; JSON spread over lines would end the field.
fn frame(name: &str, data: &str) -> String {
    let name: String = name.chars().filter(|letter| letter.is_ascii_alphanumeric() || *letter == '_').collect();
    format!("event: {name}\ndata: {}\n\n", data.replace(['\n', '\r'], " "))
}
