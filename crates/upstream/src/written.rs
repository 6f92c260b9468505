use serde_json::Value;

use crate::tokens::Tokens;

/// The fields of a delta that hold text, in the dialects that are spoken. What else stands there is not written by the model.
const TEXT: [&str; 6] = ["content", "reasoning_content", "refusal", "text", "thinking", "partial_json"];

/// What an event of a stream adds to the text of the answer: a delta of OpenAI's Responses (a string), of a chat (in each of its
/// choices) or of Anthropic's messages.
pub(crate) fn written(event: &Value) -> Tokens {
    let choices = event.get("choices").and_then(Value::as_array).into_iter().flatten();
    let deltas = event.get("delta").into_iter().chain(choices.filter_map(|choice| choice.get("delta")));
    deltas.map(of_delta).fold(Tokens::default(), Tokens::plus)
}

fn of_delta(delta: &Value) -> Tokens {
    if delta.is_string() {
        return Tokens::of(delta);
    }
    let calls = delta.get("tool_calls").and_then(Value::as_array).into_iter().flatten();
    let arguments = calls.filter_map(|call| call.pointer("/function/arguments"));
    TEXT.iter()
        .filter_map(|name| delta.get(*name))
        .chain(arguments)
        .map(Tokens::of)
        .fold(Tokens::default(), Tokens::plus)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn text_is_found_in_each_dialect() {
        let tokens = |event: Value| written(&event).count();
        assert_eq!(tokens(json!({"type": "response.output_text.delta", "delta": "eight letters"})), 4);
        // A last event says again what was counted already.
        assert_eq!(tokens(json!({"type": "response.output_text.done", "text": "eight letters"})), 0);
        let chat = |delta: Value| json!({"choices": [{"delta": delta}, {"delta": {"content": "four"}}]});
        assert_eq!(tokens(chat(json!({"role": "assistant", "content": "你好"}))), 4);
        assert_eq!(tokens(chat(json!({"tool_calls": [{"function": {"name": "f", "arguments": "{\"a\": 1}"}}]}))), 7);
        let message = |delta: Value| json!({"type": "content_block_delta", "delta": delta});
        assert_eq!(tokens(message(json!({"type": "text_delta", "text": "four"}))), 1);
        assert_eq!(tokens(message(json!({"type": "thinking_delta", "thinking": "four"}))), 1);
        assert_eq!(tokens(json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}})), 0);
        assert_eq!(tokens(json!("delta")), 0);
    }
}
