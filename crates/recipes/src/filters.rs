use minijinja::{Environment, Value as Computed};
use serde_json::Value;

use crate::scope::computed;

/// Adds what expressions have besides that of minijinja.
pub(crate) fn add(environment: &mut Environment<'_>) {
    environment.add_filter("parse_json", parse_json);
    environment.add_filter("answer", answer);
}

/// What a text says that is JSON; nothing if it is not, as a model's answer may be.
fn parse_json(text: &Computed) -> Computed {
    let value = text.as_str().and_then(|text| serde_json::from_str::<Value>(text).ok());
    value.map_or(Computed::from(()), |value| computed(&value))
}

/// The text that a language model answered with, in whichever API's words; nothing if it answered with none, as when it
/// refuses.
fn answer(result: &Computed) -> Computed {
    let result = serde_json::to_value(result).unwrap_or_default();
    let text = of_response(&result).or_else(|| of_chat(&result)).or_else(|| of_message(&result));
    text.filter(|text| !text.is_empty()).map_or(Computed::from(()), Computed::from)
}

/// OpenAI's Responses: the texts of its messages, behind whatever it thought.
fn of_response(result: &Value) -> Option<String> {
    let items = result.get("output")?.as_array()?;
    let parts = items.iter().filter_map(|item| item.get("content")?.as_array()).flatten();
    Some(parts.filter(|part| part["type"] == "output_text").filter_map(|part| part["text"].as_str()).collect())
}

/// OpenAI's chat completions.
fn of_chat(result: &Value) -> Option<String> {
    result.pointer("/choices/0/message/content")?.as_str().map(ToOwned::to_owned)
}

/// Anthropic's messages.
fn of_message(result: &Value) -> Option<String> {
    let parts = result.get("content")?.as_array()?.iter();
    Some(parts.filter(|part| part["type"] == "text").filter_map(|part| part["text"].as_str()).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{Scope, Template};

    #[test]
    fn a_models_answer_is_its_text_whichever_api_it_came_by() {
        let answer = |result: Value| {
            let scope = Scope::of_input(&result);
            Template::of_text("{{ input | answer }}").unwrap().render(&scope).unwrap()
        };
        let part = |sort: &str, text: &str| json!({ "type": sort, "text": text });
        let thought = json!({ "type": "reasoning", "summary": [] });
        let said = json!({ "type": "message", "content": [part("output_text", "4"), part("output_text", "2")] });
        assert_eq!(answer(json!({ "output": [thought, said] })), "42");
        let refused = json!({ "type": "message", "content": [{ "type": "refusal", "refusal": "no" }] });
        assert_eq!(answer(json!({ "output": [refused] })), Value::Null);
        assert_eq!(answer(json!({ "choices": [{ "message": { "content": "hi" } }] })), "hi");
        assert_eq!(answer(json!({ "choices": [{ "message": { "content": null } }] })), Value::Null);
        assert_eq!(answer(json!({ "content": [part("thinking", "hm"), part("text", "hi")] })), "hi");
        assert_eq!(answer(json!({ "score": 7 })), Value::Null);
    }
}
