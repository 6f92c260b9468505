use serde_json::Value;

/// What an answer may come to if the request sets no bound.
const OUTPUT_DEFAULT: u64 = 1_024;
/// Letters of a word for each token: what tokenizers of today come to for English, a little on the careful side.
const LETTERS_PER_TOKEN: u64 = 4;

/// About how many tokens a request will cost, before it is made: what its text comes to, and the answer's bound or a usual
/// answer. It only has to keep a limit from being run over by what is under way; the truth replaces it when the answer comes.
///
/// Four letters of an alphabet count as a token, every character of a script without spaces (Chinese, Japanese, Korean) as one,
/// and images and files as nothing: providers count those in ways of their own.
#[must_use]
pub fn estimate(request: &Value) -> u64 {
    let bounds = ["max_output_tokens", "max_completion_tokens", "max_tokens"];
    let bound = bounds.iter().find_map(|name| request.get(name)?.as_u64());
    let text = ["input", "messages", "system", "instructions", "tools"];
    let (letters, characters) = text
        .iter()
        .filter_map(|name| request.get(*name))
        .map(count)
        .fold((0, 0), |sum, part| (sum.0 + part.0, sum.1 + part.1));
    let output = if request.get("encoding_format").is_some() { 0 } else { bound.unwrap_or(OUTPUT_DEFAULT) };
    letters.div_ceil(LETTERS_PER_TOKEN) + characters + output.min(OUTPUT_DEFAULT)
}

/// Letters of alphabets, and characters of scripts in which each is about a token, in all strings of a value.
fn count(value: &Value) -> (u64, u64) {
    let sum =
        |parts: &mut dyn Iterator<Item = (u64, u64)>| parts.fold((0, 0), |sum, part| (sum.0 + part.0, sum.1 + part.1));
    match value {
        // What is sent as data is no text.
        Value::String(text) if text.starts_with("data:") => (0, 0),
        Value::String(text) => text.chars().fold((0, 0), |(letters, characters), letter| {
            if letter < '\u{2E80}' { (letters + 1, characters) } else { (letters, characters + 1) }
        }),
        Value::Array(values) => sum(&mut values.iter().map(count)),
        Value::Object(fields) => sum(&mut fields.values().map(count)),
        Value::Null | Value::Bool(_) | Value::Number(_) => (0, 0),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn text_is_counted_by_script_and_the_answer_by_its_bound() {
        assert_eq!(estimate(&json!({"input": "four letters each", "max_output_tokens": 10})), 5 + 10);
        let message = json!({"role": "user", "content": [{"type": "text", "text": "你好"}]});
        assert_eq!(estimate(&json!({"messages": [message], "max_tokens": 0})), 2 + 2);
        assert_eq!(estimate(&json!({"input": "x"})), 1 + OUTPUT_DEFAULT);
        assert_eq!(estimate(&json!({"input": "x", "max_output_tokens": 1_000_000})), 1 + OUTPUT_DEFAULT);
    }

    #[test]
    fn pictures_cost_no_text() {
        let picture = json!({"image_url": {"url": format!("data:image/png;base64,{}", "A".repeat(100_000))}});
        assert!(estimate(&json!({"messages": [picture], "max_tokens": 1})) < 10);
    }
}
