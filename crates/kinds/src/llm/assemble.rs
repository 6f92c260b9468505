use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::Dialect;

/// Puts the events of a stream together to the object that the same call gives without one.
pub(super) enum Assembly {
    /// The last event has it whole.
    Response(Option<Value>),
    Chat(Chat),
    Message(Message),
}

impl Assembly {
    pub(super) fn new(dialect: Dialect) -> Self {
        match dialect {
            Dialect::Response | Dialect::Embed => Self::Response(None),
            Dialect::Chat => Self::Chat(Chat::default()),
            Dialect::Message => Self::Message(Message::default()),
        }
    }

    pub(super) fn add(&mut self, event: &Value) {
        match self {
            Self::Response(result) => {
                let name = event.get("type").and_then(Value::as_str).unwrap_or_default();
                if ["response.completed", "response.incomplete"].contains(&name) {
                    *result = event.get("response").cloned();
                }
            }
            Self::Chat(chat) => chat.add(event),
            Self::Message(message) => message.add(event),
        }
    }

    /// The whole; `None` if its end has not come.
    pub(super) fn result(self) -> Option<Value> {
        match self {
            Self::Response(result) => result,
            Self::Chat(chat) => chat.result(),
            Self::Message(message) => message.result(),
        }
    }
}

/// A chat completion in the making.
#[derive(Default)]
pub(super) struct Chat {
    /// What every chunk says again: id, model and so on.
    frame: Map<String, Value>,
    choices: BTreeMap<u64, Choice>,
    usage: Option<Value>,
}

#[derive(Default)]
struct Choice {
    message: Map<String, Value>,
    calls: BTreeMap<u64, Map<String, Value>>,
    finish_reason: Option<Value>,
}

impl Chat {
    fn add(&mut self, chunk: &Value) {
        let Some(fields) = chunk.as_object() else { return };
        for (name, value) in fields.iter().filter(|(name, _)| !["choices", "usage", "object"].contains(&name.as_str()))
        {
            self.frame.entry(name.clone()).or_insert_with(|| value.clone());
        }
        if let Some(usage) = fields.get("usage").filter(|usage| !usage.is_null()) {
            self.usage = Some(usage.clone());
        }
        for part in fields.get("choices").and_then(Value::as_array).into_iter().flatten() {
            let index = part.get("index").and_then(Value::as_u64).unwrap_or(0);
            self.choices.entry(index).or_default().add(part);
        }
    }

    fn result(self) -> Option<Value> {
        if self.choices.is_empty() || self.choices.values().any(|choice| choice.finish_reason.is_none()) {
            return None;
        }
        let choices: Vec<Value> = self.choices.into_iter().map(|(index, choice)| choice.finished(index)).collect();
        let mut whole = self.frame;
        whole.insert("object".into(), "chat.completion".into());
        whole.insert("choices".into(), choices.into());
        if let Some(usage) = self.usage {
            whole.insert("usage".into(), usage);
        }
        Some(whole.into())
    }
}

impl Choice {
    fn add(&mut self, part: &Value) {
        if let Some(reason) = part.get("finish_reason").filter(|reason| !reason.is_null()) {
            self.finish_reason = Some(reason.clone());
        }
        for (name, value) in part.get("delta").and_then(Value::as_object).into_iter().flatten() {
            if name == "tool_calls" {
                for call in value.as_array().into_iter().flatten().filter_map(Value::as_object) {
                    let index = call.get("index").and_then(Value::as_u64).unwrap_or(0);
                    let known = self.calls.entry(index).or_default();
                    call.iter()
                        .filter(|(name, _)| *name != "index")
                        .for_each(|(name, value)| merge(known, name, value));
                }
            } else {
                merge(&mut self.message, name, value);
            }
        }
    }

    fn finished(self, index: u64) -> Value {
        let mut message = self.message;
        message.entry("role").or_insert_with(|| "assistant".into());
        message.entry("content").or_insert(Value::Null);
        if !self.calls.is_empty() {
            message.insert("tool_calls".into(), self.calls.into_values().map(Value::Object).collect());
        }
        json!({"index": index, "message": message, "finish_reason": self.finish_reason, "logprobs": null})
    }
}

/// Adds a piece: text to text, fields to fields. Names and ids come once, and are not put together.
fn merge(whole: &mut Map<String, Value>, name: &str, piece: &Value) {
    match (whole.get_mut(name), piece) {
        (_, Value::Null) => {
            whole.entry(name).or_insert(Value::Null);
        }
        (Some(Value::String(_)), Value::String(_)) if ["id", "type", "role", "name"].contains(&name) => {}
        (Some(Value::String(text)), Value::String(more)) => text.push_str(more),
        (Some(Value::Object(fields)), Value::Object(more)) => {
            more.iter().for_each(|(name, piece)| merge(fields, name, piece));
        }
        (Some(known), _) if !known.is_null() => {}
        _ => {
            whole.insert(name.to_owned(), piece.clone());
        }
    }
}

/// A message of Anthropic's in the making.
#[derive(Default)]
pub(super) struct Message {
    frame: Map<String, Value>,
    blocks: BTreeMap<u64, Block>,
    is_whole: bool,
}

#[derive(Default)]
struct Block {
    fields: Map<String, Value>,
    /// The input of a tool comes as the text of its JSON.
    json: String,
}

impl Message {
    fn add(&mut self, event: &Value) {
        let index = event.get("index").and_then(Value::as_u64).unwrap_or(0);
        match event.get("type").and_then(Value::as_str).unwrap_or_default() {
            "message_start" => {
                self.frame = event.get("message").and_then(Value::as_object).cloned().unwrap_or_default();
            }
            "content_block_start" => {
                let fields = event.get("content_block").and_then(Value::as_object).cloned().unwrap_or_default();
                self.blocks.insert(index, Block { fields, json: String::new() });
            }
            "content_block_delta" => {
                let block = self.blocks.entry(index).or_default();
                for (name, piece) in event.get("delta").and_then(Value::as_object).into_iter().flatten() {
                    match (name.as_str(), piece) {
                        ("type", _) => {}
                        ("partial_json", Value::String(more)) => block.json.push_str(more),
                        ("citation", piece) => {
                            let citations = block.fields.entry("citations").or_insert_with(|| json!([]));
                            citations.as_array_mut().into_iter().for_each(|all| all.push(piece.clone()));
                        }
                        _ => merge(&mut block.fields, name, piece),
                    }
                }
            }
            "message_delta" => {
                for (name, value) in event.get("delta").and_then(Value::as_object).into_iter().flatten() {
                    self.frame.insert(name.clone(), value.clone());
                }
                let usage = self.frame.entry("usage").or_insert_with(|| json!({}));
                for (name, count) in event.get("usage").and_then(Value::as_object).into_iter().flatten() {
                    usage.as_object_mut().into_iter().for_each(|usage| drop(usage.insert(name.clone(), count.clone())));
                }
            }
            "message_stop" => self.is_whole = true,
            _ => {}
        }
    }

    fn result(self) -> Option<Value> {
        if !self.is_whole {
            return None;
        }
        let content: Vec<Value> = self.blocks.into_values().map(Block::finished).collect();
        let mut whole = self.frame;
        whole.insert("content".into(), content.into());
        Some(whole.into())
    }
}

impl Block {
    fn finished(mut self) -> Value {
        if !self.json.is_empty() {
            self.fields.insert("input".into(), serde_json::from_str(&self.json).unwrap_or(Value::String(self.json)));
        }
        self.fields.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(dialect: Dialect, events: &[Value]) -> Option<Value> {
        let mut assembly = Assembly::new(dialect);
        events.iter().for_each(|event| assembly.add(event));
        assembly.result()
    }

    #[test]
    fn a_chat_is_put_together_from_its_chunks() {
        let chunk = |delta: Value, reason: Value| json!({"id": "c", "object": "chat.completion.chunk", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]});
        let call = |piece: Value| json!({"tool_calls": [piece]});
        let events = vec![
            chunk(json!({"role": "assistant", "content": ""}), Value::Null),
            chunk(json!({"content": "Hel"}), Value::Null),
            chunk(json!({"content": "lo"}), Value::Null),
            chunk(
                call(json!({"index": 0, "id": "t", "type": "function", "function": {"name": "f", "arguments": ""}})),
                Value::Null,
            ),
            chunk(call(json!({"index": 0, "function": {"arguments": "{\"a\""}})), Value::Null),
            chunk(call(json!({"index": 0, "function": {"arguments": ":1}"}})), Value::Null),
        ];
        assert_eq!(whole(Dialect::Chat, &events), None, "its end has not come");
        let end =
            [chunk(json!({}), json!("tool_calls")), json!({"id": "c", "choices": [], "usage": {"total_tokens": 3}})];
        let events: Vec<Value> = events.into_iter().chain(end).collect();
        let whole = whole(Dialect::Chat, &events).unwrap();
        let function = json!({"name": "f", "arguments": "{\"a\":1}"});
        let message = json!({
            "role": "assistant", "content": "Hello",
            "tool_calls": [{"id": "t", "type": "function", "function": function}],
        });
        let choice = json!({"index": 0, "message": message, "finish_reason": "tool_calls", "logprobs": null});
        let expected = json!({"id": "c", "object": "chat.completion", "model": "m", "choices": [choice], "usage": {"total_tokens": 3}});
        assert_eq!(whole, expected);
    }

    #[test]
    fn a_message_is_put_together_from_its_blocks() {
        let delta = |index: u64, delta: Value| json!({"type": "content_block_delta", "index": index, "delta": delta});
        let events = vec![
            json!({"type": "message_start", "message": {"id": "m", "role": "assistant", "content": [], "stop_reason": null, "usage": {"input_tokens": 5, "output_tokens": 1}}}),
            json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
            json!({"type": "ping"}),
            delta(0, json!({"type": "text_delta", "text": "Hel"})),
            delta(0, json!({"type": "text_delta", "text": "lo"})),
            json!({"type": "content_block_start", "index": 1, "content_block": {"type": "tool_use", "id": "t", "name": "f", "input": {}}}),
            delta(1, json!({"type": "input_json_delta", "partial_json": "{\"a\":"})),
            delta(1, json!({"type": "input_json_delta", "partial_json": "1}"})),
            json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 9}}),
        ];
        assert_eq!(whole(Dialect::Message, &events), None, "its end has not come");
        let events: Vec<Value> = events.into_iter().chain([json!({"type": "message_stop"})]).collect();
        let whole = whole(Dialect::Message, &events).unwrap();
        let expected = json!({
            "id": "m", "role": "assistant", "stop_reason": "tool_use",
            "content": [{"type": "text", "text": "Hello"}, {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}}],
            "usage": {"input_tokens": 5, "output_tokens": 9},
        });
        assert_eq!(whole, expected);
    }

    #[test]
    fn a_response_is_what_its_last_event_says() {
        let events = |last: &str| {
            vec![json!({"type": "response.created", "response": {}}), json!({"type": last, "response": {"id": "r"}})]
        };
        assert_eq!(whole(Dialect::Response, &events("response.completed")), Some(json!({"id": "r"})));
        assert_eq!(whole(Dialect::Response, &events("response.incomplete")), Some(json!({"id": "r"})));
        assert_eq!(whole(Dialect::Response, &events("response.in_progress")), None);
    }
}
