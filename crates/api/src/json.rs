use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use raincheck_core::{Problem, ProblemType};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::error::Category;
use serde_path_to_error::Segment;

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
        Ok(_) => Problem::new(ProblemType::INVALID_REQUEST, without_position(&error.to_string())),
        Err(error) => {
            let pointer = pointer(error.path());
            Problem::new(ProblemType::INVALID_REQUEST, without_position(&error.into_inner().to_string())).at(pointer)
        }
    }
}

/// A path as a JSON pointer (RFC 6901).
fn pointer(path: &serde_path_to_error::Path) -> String {
    let mut pointer = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => pointer.push_str(&format!("/{index}")),
            Segment::Map { key } => pointer.push_str(&format!("/{}", key.replace('~', "~0").replace('/', "~1"))),
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    pointer
}

fn without_position(message: &str) -> &str {
    message.rsplit_once(" at line ").map_or(message, |(message, _)| message)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_in_strings_do_not_nest() {
        assert!(is_shallow(&format!("\"{}\"", "[".repeat(100))));
        assert!(is_shallow(&format!(r#""\"{}""#, "[".repeat(100))));
        assert!(is_shallow(&format!("{}{}", "[".repeat(64), "]".repeat(64))));
        assert!(!is_shallow(&format!("{}{}", "[".repeat(65), "]".repeat(65))));
        assert!(is_shallow(&format!("[{}]", "[],".repeat(100) + "0")));
    }
}
