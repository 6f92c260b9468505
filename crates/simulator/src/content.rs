//! What is answered: text, vectors and pictures that come from a seed, and counts of tokens that fit them.

use serde_json::Value;

use crate::draw::{Draw, mix};

/// A word is a token. Some are not ASCII, so that nobody may take bytes for letters.
const WORDS: &[&str] = &[
    "rain",
    "check",
    "later",
    "queue",
    "answer",
    "slow",
    "cloud",
    "river",
    "paper",
    "green",
    "seven",
    "quiet",
    "window",
    "garden",
    "morning",
    "letter",
    "number",
    "letters",
    "stone",
    "music",
    "coffee",
    "train",
    "bridge",
    "summer",
    "winter",
    "mountain",
    "forest",
    "island",
    "harbour",
    "lantern",
    "market",
    "village",
    "compass",
    "feather",
    "thunder",
    "pencil",
    "ladder",
    "mirror",
    "pocket",
    "ribbon",
    "saddle",
    "table",
    "umbrella",
    "violin",
    "whistle",
    "yellow",
    "zebra",
    "anchor",
    "basket",
    "candle",
    "drum",
    "engine",
    "falcon",
    "glacier",
    "hammer",
    "ink",
    "jacket",
    "kettle",
    "lemon",
    "marble",
    "needle",
    "orange",
    "piano",
    "naïve",
    "über",
    "crème",
    "Ωmega",
    "東京",
    "дождь",
    "🌧",
    "\"quoted\"",
    "back\\slash",
    "tab\tstop",
    "<b>",
    "&amp;",
    "50%",
];
/// A sentence has so many words, a paragraph so many sentences.
const SENTENCE: u32 = 11;
const PARAGRAPH: u32 = 5;
/// Bytes that make a token of what is read: an estimate that both sides can compute.
const BYTES_PER_TOKEN: u64 = 4;

/// The token at a place of the text that a seed gives.
pub(crate) fn token(seed: u64, place: u32) -> String {
    let bits = mix(seed ^ mix(u64::from(place) + 1));
    let count = WORDS.len() as u64;
    let word = usize::try_from(bits % count).map_or("", |place| WORDS[place]);
    let space = match place {
        0 => "",
        _ if place.is_multiple_of(SENTENCE * PARAGRAPH) => "\n\n",
        _ => " ",
    };
    let stop = if place % SENTENCE == SENTENCE - 1 { "." } else { "" };
    format!("{space}{word}{stop}")
}

/// The text of so many tokens.
pub(crate) fn text(seed: u64, tokens: u32) -> String {
    (0..tokens).map(|place| token(seed, place)).collect()
}

/// How many tokens a request has us read: a quarter of the bytes of all its texts, rounded up, and at least 1.
pub(crate) fn tokens_read<'a>(values: impl IntoIterator<Item = Option<&'a Value>>) -> u64 {
    let bytes: u64 = values.into_iter().flatten().map(text_bytes).sum();
    bytes.div_ceil(BYTES_PER_TOKEN).max(1)
}

fn text_bytes(value: &Value) -> u64 {
    match value {
        Value::String(text) => text.len() as u64,
        Value::Array(values) => values.iter().map(text_bytes).sum(),
        Value::Object(fields) => fields.values().map(text_bytes).sum(),
        // A token that was made by the caller is one.
        Value::Number(_) => BYTES_PER_TOKEN,
        Value::Null | Value::Bool(_) => 0,
    }
}

/// A vector of length 1.
pub(crate) fn vector(seed: u64, dimensions: usize) -> Vec<f32> {
    let mut draw = Draw::new(seed);
    let raw: Vec<f64> = (0..dimensions).map(|_| draw.unit() - 0.5).collect();
    let length = raw.iter().map(|number| number * number).sum::<f64>().sqrt().max(f64::MIN_POSITIVE);
    #[expect(clippy::cast_possible_truncation, reason = "a vector is of 32-bit numbers")]
    let unit = raw.iter().map(|number| (number / length) as f32).collect();
    unit
}

/// Base64 (RFC 4648), as vectors and pictures are sent in JSON.
pub(crate) fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let bits =
            chunk.iter().enumerate().fold(0_u32, |bits, (place, byte)| bits | (u32::from(*byte) << (16 - 8 * place)));
        for place in 0..4 {
            let digit = (bits >> (18 - 6 * place)) & 63;
            text.push(if place <= chunk.len() { char::from(DIGITS[digit as usize]) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_its_tokens_and_comes_from_the_seed() {
        let joined: String = (0..200).map(|place| token(5, place)).collect();
        assert_eq!(text(5, 200), joined);
        assert_ne!(text(5, 20), text(6, 20));
        assert!(text(5, 200).contains("\n\n"));
    }

    #[test]
    fn a_token_that_is_read_is_four_bytes() {
        let value = serde_json::json!([{"role": "user", "content": "12345678"}, [1, 2]]);
        assert_eq!(tokens_read([Some(&value)]), 3 + 2);
        assert_eq!(tokens_read([None]), 1);
    }

    #[test]
    fn a_vector_has_length_one() {
        let length: f32 = vector(9, 64).iter().map(|number| number * number).sum();
        assert!((length - 1.0).abs() < 1e-5);
    }

    #[test]
    fn base64_is_as_in_the_standard() {
        for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }
}
