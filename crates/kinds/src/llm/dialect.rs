use bytes::Bytes;
use raincheck_core::{Kind, Problem, ProblemType};
use raincheck_upstream::Protocol;
use serde_json::{Map, Value, json};

/// Fields of an input that are Raincheck's, not the provider's.
const OWN: [&str; 2] = ["upstream", "on_ambiguous"];

/// Which of the providers' calls is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    Response,
    Chat,
    Message,
    Embed,
}

/// What an upstream says in the middle of a good answer when it fails.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) code: Option<String>,
    pub(super) message: String,
}

impl Dialect {
    pub(super) fn kind(self) -> Kind {
        let name = match self {
            Self::Response => "llm.response",
            Self::Chat => "llm.chat",
            Self::Message => "llm.message",
            Self::Embed => "llm.embed",
        };
        name.parse().expect("a constant name")
    }

    pub(super) fn summary(self) -> &'static str {
        match self {
            Self::Response => "Calls a language model by OpenAI's Responses API.",
            Self::Chat => "Calls a language model by OpenAI's Chat Completions API.",
            Self::Message => "Calls a language model by Anthropic's Messages API.",
            Self::Embed => "Makes embeddings by OpenAI's Embeddings API.",
        }
    }

    pub(super) fn protocol(self) -> Protocol {
        if self == Self::Message { Protocol::Anthropic } else { Protocol::Openai }
    }

    /// Below the base URL: OpenAI's ends in `/v1`, Anthropic's does not.
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Response => "/responses",
            Self::Chat => "/chat/completions",
            Self::Message => "/v1/messages",
            Self::Embed => "/embeddings",
        }
    }

    /// The field that the call cannot do without, besides the model.
    fn needs(self) -> &'static str {
        match self {
            Self::Response | Self::Embed => "input",
            Self::Chat | Self::Message => "messages",
        }
    }

    pub(crate) fn schema(self) -> Value {
        let needs = self.needs();
        json!({
            "type": "object",
            "description": "The body of the provider's own request. `stream` and `background` are Raincheck's to decide.",
            "properties": {
                "model": { "type": "string", "description": "The model to call." },
                "upstream": { "type": "string", "description": "The upstream to call; the first that takes the model if left out." },
                "on_ambiguous": { "enum": ["retry", "fail"], "description": "What becomes of a call that was sent and not answered." },
            },
            "required": ["model", needs],
        })
    }

    /// Whether the provider could take it.
    pub(super) fn check(self, body: &Map<String, Value>) -> Result<(), Problem> {
        let needs = self.needs();
        // A stored prompt, or an earlier response, may stand for the input.
        let stands_in =
            self == Self::Response && ["prompt", "previous_response_id"].iter().any(|name| body.contains_key(*name));
        if body.contains_key(needs) || stands_in {
            return Ok(());
        }
        Err(Problem::new(ProblemType::INVALID_INPUT, format!("missing field `{needs}`")).at("/input"))
    }

    /// What is sent to the provider.
    pub(super) fn body(self, input: &Map<String, Value>, model: &str) -> Bytes {
        let mut body = input.clone();
        OWN.iter().for_each(|name| drop(body.remove(*name)));
        body.remove("background");
        body.insert("model".into(), model.into());
        if self == Self::Embed {
            body.remove("stream");
        } else {
            body.insert("stream".into(), true.into());
        }
        if self == Self::Chat {
            // What it cost comes in the last event only if it is asked for.
            let options = body.entry("stream_options").or_insert_with(|| json!({}));
            if let Some(options) = options.as_object_mut() {
                options.insert("include_usage".into(), true.into());
            }
        }
        serde_json::to_vec(&body).unwrap_or_default().into()
    }

    /// An event as it goes into the job's log: without the number that its own stream gave it.
    pub(super) fn shown(self, mut event: Value) -> Value {
        if self == Self::Response
            && let Some(fields) = event.as_object_mut()
        {
            fields.remove("sequence_number");
        }
        event
    }

    /// If the event says that the provider failed.
    pub(super) fn refusal(self, event: &Value) -> Option<Refusal> {
        let error = match event.get("type").and_then(Value::as_str) {
            Some("error") => event.get("error").unwrap_or(event),
            Some("response.failed") => event.pointer("/response/error")?,
            _ if self == Self::Chat => event.get("error").filter(|error| !error.is_null())?,
            _ => return None,
        };
        let text = |name: &str| error.get(name).and_then(Value::as_str).map(str::to_owned);
        let code = text("code").or_else(|| text("type"));
        let message = text("message").unwrap_or_else(|| "it gave no reason".to_owned());
        Some(Refusal { code, message: format!("the upstream failed in the middle of its answer: {message}") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_is_the_providers_own_body() {
        let input = json!({"model": "x", "messages": [], "upstream": "a", "on_ambiguous": "fail", "background": true});
        let sent: Value = serde_json::from_slice(&Dialect::Chat.body(input.as_object().unwrap(), "y")).unwrap();
        assert_eq!(
            sent,
            json!({"model": "y", "messages": [], "stream": true, "stream_options": {"include_usage": true}})
        );
    }

    #[test]
    fn a_failure_in_the_middle_is_noticed() {
        let code =
            |dialect: Dialect, event: Value| dialect.refusal(&event).map(|refusal| refusal.code.unwrap_or_default());
        let overloaded = json!({"type": "error", "error": {"type": "overloaded_error", "message": "busy"}});
        assert_eq!(code(Dialect::Message, overloaded), Some("overloaded_error".into()));
        let failed =
            json!({"type": "response.failed", "response": {"error": {"code": "server_error", "message": "no"}}});
        assert_eq!(code(Dialect::Response, failed), Some("server_error".into()));
        assert_eq!(code(Dialect::Chat, json!({"error": {"message": "no"}})), Some(String::new()));
        assert_eq!(code(Dialect::Chat, json!({"choices": []})), None);
    }
}
