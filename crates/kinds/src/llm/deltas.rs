use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::Dialect;

/// How long a piece of text is held back for those that follow it at once. A log with an entry for each token would be as slow
/// to read as it was to write.
const HOLD: Duration = Duration::from_millis(50);

/// Joins the pieces of text that come one after the other into fewer events. What they say together is the same, byte for byte.
pub(super) struct Deltas {
    dialect: Dialect,
    held: Option<(Value, Instant)>,
}

impl Deltas {
    pub(super) fn new(dialect: Dialect) -> Self {
        Self { dialect, held: None }
    }

    /// Takes an event; gives those that are ready, in order.
    pub(super) fn push(&mut self, event: Value) -> Vec<Value> {
        let Some(place) = place(self.dialect, &event) else {
            return self.take().into_iter().chain([event]).collect();
        };
        if let Some((held, since)) = &mut self.held
            && since.elapsed() < HOLD
            && is_continued(held, &event, place)
        {
            let more = event.pointer(place).and_then(Value::as_str).unwrap_or_default();
            if let Some(Value::String(text)) = held.pointer_mut(place) {
                text.push_str(more);
            }
            // Together they are known by the number of the last.
            if let (Some(number), Some(fields)) = (event.get("sequence_number"), held.as_object_mut()) {
                fields.insert("sequence_number".into(), number.clone());
            }
            return Vec::new();
        }
        let before = self.take();
        self.held = Some((event, Instant::now()));
        before.into_iter().collect()
    }

    /// What is held back.
    pub(super) fn take(&mut self) -> Option<Value> {
        self.held.take().map(|(event, _)| event)
    }

    /// Waits until what is held back has been long enough; for ever if nothing is.
    pub(super) async fn due(&self) {
        match &self.held {
            Some((_, since)) => tokio::time::sleep_until(*since + HOLD).await,
            None => std::future::pending().await,
        }
    }
}

/// Where an event has the text that is a piece of more; `None` if it is no such event.
fn place(dialect: Dialect, event: &Value) -> Option<&'static str> {
    let is_text = |place: &'static str| event.pointer(place).is_some_and(Value::is_string).then_some(place);
    match dialect {
        Dialect::Response => {
            event.get("type").and_then(Value::as_str).filter(|name| name.ends_with(".delta"))?;
            is_text("/delta")
        }
        Dialect::Chat => {
            let delta = event.pointer("/choices/0/delta")?.as_object()?;
            let is_plain = event.pointer("/choices/1").is_none()
                && delta.len() == 1
                && event.pointer("/choices/0/finish_reason").is_none_or(Value::is_null)
                && event.get("usage").is_none_or(Value::is_null);
            if is_plain { is_text("/choices/0/delta/content") } else { None }
        }
        Dialect::Message => ["/delta/text", "/delta/partial_json", "/delta/thinking"].into_iter().find_map(|place| {
            event.get("type").and_then(Value::as_str).filter(|name| *name == "content_block_delta")?;
            is_text(place)
        }),
        Dialect::Embed => None,
    }
}

/// The piece of the answer's text that an event brings, whatever dialect it is in; `None` if it brings none.
pub(crate) fn text_of(event: &Value) -> Option<&str> {
    let place = match event.get("type").and_then(Value::as_str) {
        Some("response.output_text.delta") => "/delta",
        Some("content_block_delta") => "/delta/text",
        Some(_) => return None,
        None => "/choices/0/delta/content",
    };
    event.pointer(place).and_then(Value::as_str)
}

/// Whether an event says the same as the one before it, but for the text.
fn is_continued(held: &Value, event: &Value, place: &str) -> bool {
    let without = |event: &Value| {
        let mut event = event.clone();
        if let Some(text) = event.pointer_mut(place) {
            *text = Value::Null;
        }
        // Noise that pads the length of events, and what numbers them.
        if let Some(fields) = event.as_object_mut() {
            fields.remove("obfuscation");
            fields.remove("sequence_number");
        }
        event
    };
    held.pointer(place).is_some_and(Value::is_string) && without(held) == without(event)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn delta(item: &str, text: &str) -> Value {
        json!({"type": "response.output_text.delta", "item_id": item, "output_index": 0, "delta": text, "logprobs": []})
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_at_once_is_joined_and_the_rest_is_not() {
        let mut deltas = Deltas::new(Dialect::Response);
        assert!(deltas.push(delta("a", "Hel")).is_empty());
        assert!(deltas.push(delta("a", "lo")).is_empty());
        assert_eq!(deltas.push(delta("b", "x")), [delta("a", "Hello")]);
        let done = json!({"type": "response.output_text.done", "text": "x"});
        assert_eq!(deltas.push(done.clone()), [delta("b", "x"), done]);
        assert!(deltas.push(delta("a", "1")).is_empty());
        deltas.due().await;
        assert_eq!(deltas.push(delta("a", "2")), [delta("a", "1")]);
        assert_eq!((deltas.take(), deltas.take()), (Some(delta("a", "2")), None));
    }

    #[tokio::test(start_paused = true)]
    async fn each_dialect_has_its_pieces() {
        let chat = |text: &str| json!({"id": "c", "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": null}]});
        let mut deltas = Deltas::new(Dialect::Chat);
        assert!(deltas.push(chat("a")).is_empty() && deltas.push(chat("b")).is_empty());
        let last = json!({"id": "c", "choices": [{"index": 0, "delta": {"content": "c"}, "finish_reason": "stop"}]});
        assert_eq!(deltas.push(last.clone()), [chat("ab"), last]);
        let block = |text: &str| json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}});
        let mut deltas = Deltas::new(Dialect::Message);
        assert!(deltas.push(block("a")).is_empty() && deltas.push(block("b")).is_empty());
        assert_eq!(deltas.take(), Some(block("ab")));
    }
}
