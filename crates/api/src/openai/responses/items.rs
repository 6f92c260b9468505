use raincheck_core::Json;
use serde_json::{Value, json};

/// An output item of a Response, as far as it was shown.
pub(super) enum Item {
    /// More of it may come.
    Open(Value),
    /// It was told whole.
    Done(Json),
}

impl Item {
    /// An item that was added.
    pub(super) fn added(item: &str) -> Self {
        Self::Open(serde_json::from_str(item).unwrap_or_default())
    }

    /// Takes in an event about it. What is shown of an item that is never told whole is put together from these.
    pub(super) fn take(&mut self, name: &str, event: &Value) {
        let Self::Open(item) = self else { return };
        if let Some((parts, place)) = part_added(name) {
            if let Some(part) = event.get("part") {
                set(list(item, parts), number(event, place), part.clone());
            }
        } else if let Some((holder, field)) = text_added(name)
            && let Some(more) = event.get("delta").and_then(Value::as_str)
        {
            let target = match holder {
                Some((parts, place)) => item.get_mut(parts).and_then(|parts| parts.get_mut(number(event, place))),
                None => Some(item),
            };
            if let Some(text) =
                target.and_then(Value::as_object_mut).map(|target| target.entry(field).or_insert("".into()))
                && let Value::String(text) = text
            {
                text.push_str(more);
            }
        }
    }

    /// As it stands in a Response that came to no good end, or when its text starts anew.
    pub(super) fn given_up(&self) -> Json {
        match self {
            Self::Done(item) => item.clone(),
            Self::Open(item) => {
                let mut item = item.clone();
                if let Some(fields) = item.as_object_mut() {
                    fields.insert("status".into(), "incomplete".into());
                }
                item.into()
            }
        }
    }

    /// Whether it goes by this name.
    pub(super) fn has(&self, id: &str) -> bool {
        match self {
            Self::Open(item) => item.get("id").and_then(Value::as_str) == Some(id),
            Self::Done(item) => {
                item.parse::<Value>().is_ok_and(|item| item.get("id").and_then(Value::as_str) == Some(id))
            }
        }
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self, Self::Open(_))
    }
}

/// Which event adds a part to an item: where to, and where the event says which it is.
fn part_added(name: &str) -> Option<(&'static str, &'static str)> {
    match name {
        "response.content_part.added" => Some(("content", "content_index")),
        "response.reasoning_summary_part.added" => Some(("summary", "summary_index")),
        _ => None,
    }
}

type Part = Option<(&'static str, &'static str)>;

/// Which event adds text to an item: to which of its parts, and to which field.
fn text_added(name: &str) -> Option<(Part, &'static str)> {
    let (content, summary) = (Some(("content", "content_index")), Some(("summary", "summary_index")));
    match name {
        "response.output_text.delta" | "response.reasoning_text.delta" => Some((content, "text")),
        "response.refusal.delta" => Some((content, "refusal")),
        "response.reasoning_summary_text.delta" => Some((summary, "text")),
        "response.function_call_arguments.delta" | "response.mcp_call_arguments.delta" => Some((None, "arguments")),
        "response.custom_tool_call_input.delta" => Some((None, "input")),
        "response.code_interpreter_call_code.delta" => Some((None, "code")),
        _ => None,
    }
}

fn list<'a>(item: &'a mut Value, name: &str) -> &'a mut Vec<Value> {
    if !item.get(name).is_some_and(Value::is_array) {
        *item = match std::mem::take(item) {
            Value::Object(mut fields) => {
                fields.insert(name.to_owned(), json!([]));
                Value::Object(fields)
            }
            _ => json!({ name: [] }),
        };
    }
    item.get_mut(name).and_then(Value::as_array_mut).expect("it was made a list")
}

fn number(event: &Value, name: &str) -> usize {
    event.get(name).and_then(Value::as_u64).and_then(|number| usize::try_from(number).ok()).unwrap_or(0)
}

/// Parts come in order; one that does not is put behind the others.
fn set(parts: &mut Vec<Value>, place: usize, part: Value) {
    match parts.get_mut(place) {
        Some(old) => *old = part,
        None => parts.push(part),
    }
}

/// The events that tell an item that was never shown, now that it is there whole: each a type and its own fields.
pub(super) fn told_whole(item: &Json, id: &str) -> Vec<(&'static str, Value)> {
    let whole: Value = item.parse().unwrap_or_default();
    let mut added = whole.clone();
    let is_message = whole["type"] == "message";
    if let Some(fields) = added.as_object_mut() {
        fields.insert("status".into(), "in_progress".into());
        if is_message {
            fields.insert("content".into(), json!([]));
        }
    }
    let mut events = vec![("response.output_item.added", json!({ "item": added }))];
    let parts = whole["content"].as_array().filter(|_| is_message).into_iter().flatten();
    for (place, part) in parts.enumerate() {
        let at = |more: Value| {
            let mut fields = json!({ "item_id": id, "content_index": place });
            if let (Value::Object(fields), Value::Object(more)) = (&mut fields, more) {
                fields.extend(more);
            }
            fields
        };
        let mut empty = part.clone();
        let text = part["text"].as_str().filter(|_| part["type"] == "output_text");
        if text.is_some() {
            (empty["text"], empty["annotations"]) = ("".into(), json!([]));
        }
        events.push(("response.content_part.added", at(json!({ "part": empty }))));
        if let Some(text) = text {
            events.push(("response.output_text.delta", at(json!({ "delta": text, "logprobs": [] }))));
            events.push(("response.output_text.done", at(json!({ "text": text, "logprobs": [] }))));
        }
        events.push(("response.content_part.done", at(json!({ "part": part }))));
    }
    events
}
