use serde::Deserialize;
use serde_json::Value;

/// What a call cost, in tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Of the request.
    pub input: u64,
    /// Of the answer.
    pub output: u64,
}

impl Usage {
    /// What an object of the upstream's says of it: `usage` of a response, a chat completion, a message or an embedding, also
    /// in the last event of a stream, where it stands inside.
    #[must_use]
    pub fn read(value: &Value) -> Option<Self> {
        let places = ["/usage", "/response/usage", "/message/usage"];
        Self::told(places.iter().find_map(|place| value.pointer(place))?)
    }

    /// What an answer that is one object says of it. The rest of it, which may be large, is only passed over.
    pub(crate) fn of_object(bytes: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Object {
            usage: Value,
        }
        let object: Object = serde_json::from_slice(bytes).ok()?;
        Self::told(&object.usage)
    }

    fn told(usage: &Value) -> Option<Self> {
        let count = |names: [&str; 2]| names.iter().find_map(|name| usage.get(*name)?.as_u64());
        let (input, output) = (count(["input_tokens", "prompt_tokens"]), count(["output_tokens", "completion_tokens"]));
        (input.is_some() || output.is_some()).then(|| Self { input: input.unwrap_or(0), output: output.unwrap_or(0) })
    }

    /// What a later part of a stream adds: Anthropic says what went in at the start, and what came out at the end.
    pub(crate) fn updated(self, later: Self) -> Self {
        Self { input: self.input.max(later.input), output: self.output.max(later.output) }
    }

    /// All of it.
    #[must_use]
    pub fn total(self) -> u64 {
        self.input.saturating_add(self.output)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn usage_is_found_in_each_dialect() {
        let usage = |value: Value| Usage::read(&value).map(|usage| (usage.input, usage.output));
        assert_eq!(usage(json!({"usage": {"input_tokens": 3, "output_tokens": 4}})), Some((3, 4)));
        assert_eq!(
            usage(json!({"usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}})),
            Some((3, 4))
        );
        assert_eq!(
            usage(json!({"type": "response.completed", "response": {"usage": {"input_tokens": 3}}})),
            Some((3, 0))
        );
        assert_eq!(usage(json!({"type": "message_start", "message": {"usage": {"input_tokens": 9}}})), Some((9, 0)));
        assert_eq!(usage(json!({"usage": null})), None);
        assert_eq!(usage(json!("usage")), None);
    }

    #[test]
    fn usage_is_found_in_an_object_among_other_things() {
        let usage = |text: &str| Usage::of_object(text.as_bytes()).map(|usage| (usage.input, usage.output));
        assert_eq!(usage(r#"{"data": [[0.1, 0.2]], "usage": {"prompt_tokens": 3, "total_tokens": 3}}"#), Some((3, 0)));
        for none in [r#"{"usage": null}"#, r#"{"data": []}"#, "[]", "{\"usage\": {\"input_tokens\": 3}", ""] {
            assert_eq!(usage(none), None, "{none}");
        }
    }
}
