use std::time::Duration;

use minijinja::{Environment, Error, ErrorKind, State, Value as Computed};
use serde_json::Value;

use crate::duration;
use crate::scope::{computed, links};

/// How long a link is good at least, unless it says otherwise; and how long it may say.
const LINK_LIFE: Duration = Duration::from_secs(3600);
const LINK_LIVES: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3 * 24 * 3600);

/// Adds what expressions have besides that of minijinja.
pub(crate) fn add(environment: &mut Environment<'_>) {
    environment.add_filter("parse_json", parse_json);
    environment.add_filter("answer", answer);
    environment.add_filter("link", link);
}

/// What a text says that is JSON; nothing if it is not, as a model's answer may be.
fn parse_json(text: &Computed) -> Computed {
    let value = text.as_str().and_then(|text| serde_json::from_str::<Value>(text).ok());
    value.map_or(Computed::from(()), |value| computed(&value))
}

/// The address of a file, by its id, at which it is had without a key for a time; nothing of nothing.
fn link(state: &State<'_, '_>, file: &Computed, life: Option<&str>) -> Result<Computed, Error> {
    let wrong = |detail: String| Error::new(ErrorKind::InvalidOperation, detail);
    let Some(links) = links(state) else { return Err(wrong("links are made only in answers".to_owned())) };
    if file.is_none() || file.is_undefined() {
        return Ok(Computed::from(()));
    }
    let life = life.map_or(Ok(LINK_LIFE), duration::parse).map_err(wrong)?;
    if !LINK_LIVES.contains(&life) {
        let [least, most] = [LINK_LIVES.start(), LINK_LIVES.end()].map(|life| duration::show(*life));
        return Err(wrong(format!("a link is good for {least} to {most}")));
    }
    let made = file.as_str().and_then(|file| links.to(file, life));
    made.map(Computed::from).ok_or_else(|| wrong(format!("{file} is no id of a file")))
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
