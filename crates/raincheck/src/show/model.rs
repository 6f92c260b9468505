//! What language models say: pieces of text on the way, and what the whole came to.

use serde_json::Value;

use super::table;
use crate::console::{Paint, harmless};

/// Where the providers' events have a piece of the text.
const PIECES: [(&str, &str); 3] = [
    ("response.output_text.delta", "/delta"),
    ("content_block_delta", "/delta/text"),
    ("chat.completion.chunk", "/choices/0/delta/content"),
];

/// The piece of text in an event of a language model's stream, empty if it has none. `None` if it is no such event.
pub(crate) fn piece(kind: &str, event: &Value) -> Option<String> {
    if !kind.starts_with("llm.") {
        return None;
    }
    let name = event.get("type").or_else(|| event.get("object")).and_then(Value::as_str)?;
    let place = PIECES.iter().find(|(of, _)| *of == name).map(|(_, place)| *place);
    let text = place.and_then(|place| event.pointer(place)).and_then(Value::as_str);
    Some(text.unwrap_or_default().to_owned())
}

/// What a call of a language model came to, besides its text; `None` if this is no result of one.
pub(crate) fn summary(kind: &str, result: &Value, paint: Paint) -> Option<String> {
    if !kind.starts_with("llm.") {
        return None;
    }
    let text = |place: &str| result.pointer(place).and_then(Value::as_str).map(harmless);
    let count = |places: [&str; 2]| places.iter().find_map(|place| result.pointer(place)?.as_u64());
    let read = count(["/usage/input_tokens", "/usage/prompt_tokens"])?;
    let written = count(["/usage/output_tokens", "/usage/completion_tokens"]).unwrap_or(0);
    let ended = text("/choices/0/finish_reason").or_else(|| text("/stop_reason")).or_else(|| text("/status"));
    let vectors = result.get("data").and_then(Value::as_array).map(|data| data.len().to_string());
    let rows: Vec<(String, String)> = [
        ("model", text("/model")),
        ("ended", ended),
        ("embeddings", vectors),
        ("tokens", Some(format!("{read} read, {written} written"))),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name.to_owned(), value?)))
    .collect();
    Some(table::pairs(&rows, paint))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pieces_are_found_in_each_dialect_and_the_rest_is_no_text() {
        let piece = |event: Value| piece("llm.x", &event);
        assert_eq!(piece(json!({"type": "response.output_text.delta", "delta": "a"})), Some("a".into()));
        assert_eq!(piece(json!({"type": "content_block_delta", "delta": {"text": "b"}})), Some("b".into()));
        let chunk = json!({"object": "chat.completion.chunk", "choices": [{"delta": {"content": "c"}}]});
        assert_eq!(piece(chunk.clone()), Some("c".into()));
        assert_eq!(piece(json!({"type": "message_start"})), Some(String::new()));
        assert_eq!((piece(json!("text")), super::piece("echo", &chunk)), (None, None));
    }

    #[test]
    fn a_call_is_summed_up() {
        let usage = json!({"prompt_tokens": 6, "completion_tokens": 32});
        let result = json!({"model": "gpt-5", "choices": [{"finish_reason": "stop"}], "usage": usage});
        insta::assert_snapshot!(summary("llm.chat", &result, Paint(false)).unwrap(), @r"
          model   gpt-5
          ended   stop
          tokens  6 read, 32 written
        ");
        assert_eq!(summary("echo", &result, Paint(false)), None);
    }
}
