use serde_json::Value;

/// What an answer may come to if the request sets no bound. What it comes to beyond that is counted while it comes.
pub(crate) const OUTPUT_DEFAULT: u64 = 1_024;
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
    let text = text.iter().filter_map(|name| request.get(*name)).map(Count::of).fold(Count::default(), Count::plus);
    let output = if request.get("encoding_format").is_some() { 0 } else { bound.unwrap_or(OUTPUT_DEFAULT) };
    text.tokens() + output.min(OUTPUT_DEFAULT)
}

/// How much text there is: letters of alphabets, and characters of scripts in which each is about a token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    letters: u64,
    characters: u64,
}

impl Count {
    /// All strings of a value.
    pub(crate) fn of(value: &Value) -> Self {
        match value {
            // What is sent as data is no text.
            Value::String(text) if text.starts_with("data:") => Self::default(),
            Value::String(text) => text.chars().fold(Self::default(), Self::and),
            Value::Array(values) => values.iter().map(Self::of).fold(Self::default(), Self::plus),
            Value::Object(fields) => fields.values().map(Self::of).fold(Self::default(), Self::plus),
            Value::Null | Value::Bool(_) | Value::Number(_) => Self::default(),
        }
    }

    fn and(self, letter: char) -> Self {
        let Self { letters, characters } = self;
        if letter < '\u{2E80}' {
            Self { letters: letters + 1, characters }
        } else {
            Self { letters, characters: characters + 1 }
        }
    }

    /// Both together.
    pub(crate) fn plus(self, other: Self) -> Self {
        Self { letters: self.letters + other.letters, characters: self.characters + other.characters }
    }

    /// About how many tokens that is.
    pub(crate) fn tokens(self) -> u64 {
        self.letters.div_ceil(LETTERS_PER_TOKEN) + self.characters
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
