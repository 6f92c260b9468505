//! Answers that a request wants as JSON of a schema: what OpenAI calls structured outputs, and Anthropic a tool that must be used.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::content;
use crate::draw::Draw;

/// Schemas are followed so deep; below there is only null.
const DEPTH_MAX: usize = 16;
/// Words of a text, and items of a list that may be as long as it likes.
const WORDS: u32 = 9;
const ITEMS: usize = 2;
/// Numbers that may be anything lie between these.
const NUMBERS: (i64, i64) = (0, 100);
/// Letters of a token.
const TOKEN_LETTERS: usize = 4;

/// The tokens of the answer, if the request says of which schema it is to be.
pub(crate) fn tokens(body: &Value, seed: u64) -> Option<Arc<[String]>> {
    let of_response = body.pointer("/text/format").filter(|format| format["type"] == "json_schema");
    let of_chat = body.pointer("/response_format").filter(|format| format["type"] == "json_schema");
    let schema = of_response.and_then(|format| format.get("schema"));
    let schema = schema.or_else(|| of_chat.and_then(|format| format.pointer("/json_schema/schema")));
    let schema = schema.or_else(|| tool(body)?.get("input_schema"))?;
    let text = value(schema, &mut Draw::new(seed), 0, &last_said(body)).to_string();
    let letters: Vec<char> = text.chars().collect();
    Some(letters.chunks(TOKEN_LETTERS).map(|token| token.iter().collect()).collect())
}

/// The tool that a request says must be used.
pub(crate) fn tool(body: &Value) -> Option<&Value> {
    let choice = body.get("tool_choice").filter(|choice| choice["type"] == "tool")?;
    body.get("tools")?.as_array()?.iter().find(|tool| tool["name"] == choice["name"])
}

/// What was said last, in small letters: a choice whose name is in it is the one that is made.
fn last_said(body: &Value) -> String {
    let messages = body.get("messages").or(body.get("input"));
    let last = messages.map(|messages| messages.as_array().and_then(|all| all.last()).unwrap_or(messages));
    let mut said = String::new();
    last.iter().for_each(|last| gather(last, &mut said));
    said.to_lowercase()
}

/// Adds all text but that of pictures, in which any short word is found sooner or later.
fn gather(value: &Value, text: &mut String) {
    match value {
        Value::String(said) => {
            text.push_str(said);
            text.push(' ');
        }
        Value::Array(items) => items.iter().for_each(|item| gather(item, text)),
        Value::Object(fields) => {
            fields.iter().filter(|(name, _)| *name != "source").for_each(|(_, value)| gather(value, text));
        }
        _ => {}
    }
}

/// A value that fits a schema, as far as these are usually written.
fn value(schema: &Value, draw: &mut Draw, depth: usize, said: &str) -> Value {
    if depth > DEPTH_MAX {
        return Value::Null;
    }
    if let Some(constant) = schema.get("const") {
        return constant.clone();
    }
    if let Some(choices) = schema.get("enum").or(schema.get("anyOf")).and_then(Value::as_array)
        && let Some(drawn) = choices.get(below(draw, choices.len()))
    {
        let is_said = |choice: &&Value| choice.as_str().is_some_and(|name| said.contains(&name.to_lowercase()));
        let choice = choices.iter().find(is_said).or(schema.get("default")).unwrap_or(drawn);
        return if schema.get("enum").is_some() { choice.clone() } else { value(choice, draw, depth + 1, said) };
    }
    let kind = &schema["type"];
    match kind.as_str().or_else(|| kind.get(0)?.as_str()).unwrap_or("null") {
        "object" => {
            let properties = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
            Value::Object(
                properties.map(|(name, of)| (name.clone(), value(of, draw, depth + 1, said))).collect::<Map<_, _>>(),
            )
        }
        "array" => (0..ITEMS).map(|_| value(&schema["items"], draw, depth + 1, said)).collect(),
        "string" => content::text(draw.bits(), WORDS).into(),
        "boolean" => draw.bits().is_multiple_of(2).into(),
        "integer" | "number" => {
            let bound = |name: &str, usual: i64| schema.get(name).and_then(Value::as_i64).unwrap_or(usual);
            let (least, most) = (bound("minimum", NUMBERS.0), bound("maximum", NUMBERS.1));
            let span = usize::try_from(most.saturating_sub(least)).unwrap_or(0).saturating_add(1);
            json!(least.saturating_add(i64::try_from(below(draw, span)).unwrap_or(0)))
        }
        _ => Value::Null,
    }
}

/// A number of `0..count`.
fn below(draw: &mut Draw, count: usize) -> usize {
    let place = draw.bits().checked_rem(count as u64).unwrap_or(0);
    usize::try_from(place).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_fits_its_schema_and_comes_from_the_seed() {
        let schema = json!({
            "type": "object",
            "properties": {
                "score": {"type": "integer", "minimum": 3, "maximum": 5},
                "verdict": {"enum": ["good", "bad"]},
                "reasons": {"type": "array", "items": {"type": ["string", "null"]}},
                "is_sure": {"anyOf": [{"type": "boolean"}]},
            },
        });
        let response = json!({"text": {"format": {"type": "json_schema", "schema": schema}}});
        let chat = json!({"response_format": {"type": "json_schema", "json_schema": {"schema": schema}}});
        let text = tokens(&response, 7).unwrap().concat();
        let answer: Value = serde_json::from_str(&text).unwrap();
        assert!((3..=5).contains(&answer["score"].as_i64().unwrap()), "{answer}");
        assert!(["good", "bad"].contains(&answer["verdict"].as_str().unwrap()), "{answer}");
        assert!(answer["reasons"][1].is_string() && answer["is_sure"].is_boolean(), "{answer}");
        assert_eq!(tokens(&chat, 7).unwrap().concat(), text);
        assert_ne!(tokens(&chat, 8).unwrap().concat(), text);
        assert_eq!(tokens(&json!({"text": {"format": {"type": "text"}}}), 7), None);
    }

    #[test]
    fn a_tool_that_must_be_used_is_and_what_was_asked_for_is_chosen() {
        let schema = json!({"type": "object", "properties": {"action": {"enum": ["chat", "transform"]}}});
        let said = |text: &str| {
            let body = json!({
                "messages": [{"role": "user", "content": text}],
                "tools": [{"name": "decide", "input_schema": schema}],
                "tool_choice": {"type": "tool", "name": "decide"},
            });
            serde_json::from_str::<Value>(&tokens(&body, 7).unwrap().concat()).unwrap()["action"].clone()
        };
        assert_eq!(said("Transform my living room"), "transform");
        assert_eq!(said("Let us chat"), "chat");
        let picture = json!({"type": "image", "source": {"type": "base64", "data": "xxchatxx"}});
        let body = json!({"messages": [{"role": "user", "content": [picture, {"type": "text", "text": "Hello"}]}]});
        assert!(!last_said(&body).contains("chat"));
    }

    #[test]
    fn a_choice_that_is_not_named_is_the_usual_one_if_there_is_one() {
        let schema = json!({"enum": ["chat", "transform"], "default": "chat"});
        let chosen = |seed: u64, said: &str| value(&schema, &mut Draw::new(seed), 0, said);
        assert!((0..20).all(|seed| chosen(seed, "which colour?") == "chat"));
        assert_eq!(chosen(1, "transform it"), "transform");
    }

    #[test]
    fn a_schema_without_bottom_ends() {
        let mut schema = json!({"type": "string"});
        for _ in 0..40 {
            schema = json!({"type": "object", "properties": {"more": schema}});
        }
        assert!(tokens(&json!({"text": {"format": {"type": "json_schema", "schema": schema}}}), 1).is_some());
        let endless = json!({"type": "integer", "minimum": i64::MAX, "maximum": i64::MIN});
        assert_eq!(value(&endless, &mut Draw::new(1), 0, ""), json!(i64::MAX));
    }
}
