use serde_json::{Map, Value};

use crate::tokens::Tokens;

/// What an answer may come to if the request sets no bound. What it comes to beyond that is counted while it comes.
pub(crate) const OUTPUT_DEFAULT: u64 = 1_024;
/// The last part of paths whose answers are no text of a model.
const WRITE_NOTHING: [&str; 4] = ["embeddings", "generations", "input_tokens", "count_tokens"];
/// Fields whose texts a model reads; of the second sort it reads the names in them, too.
const TEXTS: [&str; 5] = ["input", "instructions", "messages", "prompt", "system"];
const SCHEMAS: [&str; 4] = ["functions", "response_format", "text", "tools"];
/// Fields of messages that are for the provider, and that no model reads.
const UNREAD: [&str; 7] = ["cache_control", "call_id", "id", "signature", "tool_call_id", "tool_use_id", "type"];
/// What stands between two messages.
const PER_MESSAGE: u64 = 3;
/// What an image, a sound or a document is counted as, whatever its size: providers count by pixels, seconds and pages.
const MEDIUM: u64 = 1_000;
/// What such parts are called.
const MEDIA: [&str; 8] =
    ["audio", "document", "file", "image", "image_url", "input_audio", "input_file", "input_image"];
/// The bytes of one stand in a text that begins like this, and says so within so many bytes.
const DATA: &str = "data:";
const BASE64: &str = ";base64,";
const HEAD: usize = 128;

/// About how many tokens a request to this path will cost, before it is made: what its text comes to, and the answer's bound or a
/// usual answer, if the answer is a text. It only has to keep a limit from being run over by what is under way; the truth replaces
/// it when the answer comes.
#[must_use]
pub fn estimate(path: &str, request: &Value) -> u64 {
    let sum = |names: &[&str], of: fn(&Value) -> Tokens| {
        names.iter().filter_map(|name| request.get(*name)).map(of).fold(Tokens::default(), Tokens::plus)
    };
    let input = sum(&TEXTS, read).plus(sum(&SCHEMAS, with_names)).plus(between(request)).count();
    let last = path.split('?').next().and_then(|path| path.rsplit('/').next()).unwrap_or_default();
    if WRITE_NOTHING.contains(&last) {
        return input;
    }
    let bounds = ["max_output_tokens", "max_completion_tokens", "max_tokens"];
    let bound = bounds.iter().find_map(|name| request.get(name)?.as_u64());
    input + bound.unwrap_or(OUTPUT_DEFAULT).min(OUTPUT_DEFAULT)
}

/// What stands between messages, of however many there are.
fn between(request: &Value) -> Tokens {
    let messages = ["input", "messages"].iter().filter_map(|name| request.get(*name)?.as_array()).flatten();
    Tokens::whole(PER_MESSAGE * messages.filter(|message| message.is_object()).count() as u64)
}

/// What of a value a model reads. A number is a token that the caller has made already.
fn read(value: &Value) -> Tokens {
    match value {
        Value::String(text) if is_data(text) => Tokens::whole(MEDIUM),
        Value::String(text) => Tokens::of_text(text),
        Value::Number(_) => Tokens::whole(1),
        Value::Array(values) => values.iter().map(read).fold(Tokens::default(), Tokens::plus),
        Value::Object(fields) if is_medium(fields) => Tokens::whole(MEDIUM),
        Value::Object(fields) => {
            let seen = fields.iter().filter(|(name, _)| !UNREAD.contains(&name.as_str()));
            seen.map(|(_, value)| read(value)).fold(Tokens::default(), Tokens::plus)
        }
        Value::Null | Value::Bool(_) => Tokens::default(),
    }
}

/// The same where the names of fields are read, too: in descriptions of functions and of answers.
fn with_names(value: &Value) -> Tokens {
    match value {
        Value::Array(values) => values.iter().map(with_names).fold(Tokens::default(), Tokens::plus),
        Value::Object(fields) => {
            let both = |(name, value): (&String, &Value)| Tokens::of_text(name).plus(with_names(value));
            fields.iter().map(both).fold(Tokens::default(), Tokens::plus)
        }
        other => read(other),
    }
}

fn is_data(text: &str) -> bool {
    text.starts_with(DATA) && text[..text.floor_char_boundary(HEAD)].contains(BASE64)
}

/// Whether a part is an image or the like. Documents may be texts, too.
fn is_medium(part: &Map<String, Value>) -> bool {
    let named = |fields: &Map<String, Value>, names: &[&str]| {
        fields.get("type").and_then(Value::as_str).is_some_and(|name| names.contains(&name))
    };
    let is_text =
        || part.get("source").and_then(Value::as_object).is_some_and(|source| named(source, &["text", "content"]));
    named(part, &MEDIA) && !is_text()
}
