use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use raincheck_core::{Json, Misfit, Problem, ProblemType};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::error::Category;

/// How deep arrays and objects of an input may be nested.
pub(crate) const DEPTH_MAX: usize = 64;

/// A `T` that was written as an object. By itself serde would also read a struct from an array of its fields, which nobody
/// means.
#[derive(Debug)]
pub(crate) struct Object<T>(pub(crate) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map))
            }
        }

        deserializer.deserialize_map(Fields(PhantomData)).map(Self)
    }
}

impl<T: JsonSchema> JsonSchema for Object<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

/// Reads a JSON document as `T`. What is no JSON is told with line and column, what does not fit with a JSON pointer.
pub(crate) fn parse<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Problem> {
    let read: Result<Object<T>, _> = serde_json::from_slice(bytes);
    read.map(|Object(value)| value).map_err(|error| explain::<T>(bytes, &error))
}

fn explain<'a, T: Deserialize<'a>>(bytes: &'a [u8], error: &serde_json::Error) -> Problem {
    if error.classify() != Category::Data {
        return Problem::new(ProblemType::MALFORMED_REQUEST, format!("the body is not JSON: {error}"));
    }
    // Read once more, only now keeping track of where: requests are mostly good.
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    match serde_path_to_error::deserialize::<_, Object<T>>(&mut deserializer) {
        Ok(_) => Problem::new(ProblemType::INVALID_REQUEST, error.to_string()),
        Err(error) => {
            let Misfit { pointer, detail } = Misfit::new("", &error);
            Problem::new(ProblemType::INVALID_REQUEST, detail).at(pointer)
        }
    }
}

/// Whether JSON that is kept for others can be read by them.
///
/// # Errors
/// If it nests too deep or has half a character in it; `pointer` says where it stands in the request.
pub(crate) fn check(json: &Json, pointer: &str) -> Result<(), Problem> {
    let detail = if !is_shallow(json.as_str()) {
        "this is nested deeper than 64 levels"
    } else if !has_whole_characters(json.as_str()) {
        "a string has half a surrogate pair (an escape from \\ud800 to \\udfff alone)"
    } else {
        return Ok(());
    };
    Err(Problem::new(ProblemType::INVALID_REQUEST, detail).at(pointer))
}

/// Whether valid JSON text nests no deeper than [`DEPTH_MAX`].
pub(crate) fn is_shallow(text: &str) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEPTH_MAX {
            return false;
        }
    }
    true
}

/// Whether each half of a surrogate pair that valid JSON text writes as an escape (`\\ud83d\\ude00`) has its other half. One
/// alone is no character: many languages cannot read such a string, and those that can lose it when they write it.
pub(crate) fn has_whole_characters(text: &str) -> bool {
    let mut rest = text.as_bytes();
    let mut high = false;
    while let Some(place) = rest.iter().position(|byte| *byte == b'\\') {
        let (escape, follows) = (&rest[place..], high);
        let unit = match escape {
            [_, b'u', digits @ ..] if digits.len() >= 4 => {
                std::str::from_utf8(&digits[..4]).ok().and_then(|digits| u16::from_str_radix(digits, 16).ok())
            }
            _ => None,
        };
        let is_low = unit.is_some_and(|unit| (0xDC00..0xE000).contains(&unit));
        if follows != (is_low && place == 0) || (is_low && place > 0) {
            return false;
        }
        high = unit.is_some_and(|unit| (0xD800..0xDC00).contains(&unit));
        rest = &escape[if unit.is_some() { 6 } else { 2 }.min(escape.len())..];
    }
    !high
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_character_is_noticed() {
        for good in
            [r#""\ud83d\ude00""#, r#""\u00e9 \\ud83d \n""#, r#""\\""#, "\"ä😀\"", r#""\ud83d\ude00\ud83d\ude00x""#]
        {
            assert!(serde_json::from_str::<String>(good).is_ok() && has_whole_characters(good), "{good}");
        }
        for bad in [
            r#""\ud83d""#,
            r#""\ude00""#,
            r#""\ud83dx\ude00""#,
            r#""\ud83d\ud83d\ude00""#,
            r#""\ud83d\n""#,
            r#""\ud83dx\u0041""#,
        ] {
            assert!(serde_json::from_str::<String>(bad).is_err() && !has_whole_characters(bad), "{bad}");
        }
    }

    #[test]
    fn brackets_in_strings_do_not_nest() {
        assert!(is_shallow(&format!("\"{}\"", "[".repeat(100))));
        assert!(is_shallow(&format!(r#""\"{}""#, "[".repeat(100))));
        assert!(is_shallow(&format!("{}{}", "[".repeat(64), "]".repeat(64))));
        assert!(!is_shallow(&format!("{}{}", "[".repeat(65), "]".repeat(65))));
        assert!(is_shallow(&format!("[{}]", "[],".repeat(100) + "0")));
    }
}
