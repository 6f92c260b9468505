use serde_path_to_error::{Path, Segment};

/// Why a JSON value does not fit what it is read as, in the words of JSON and without those of the program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// Where: a JSON pointer (RFC 6901).
    pub pointer: String,
    /// What is wrong there.
    pub detail: String,
}

impl Misfit {
    /// What reading a value found; `root` is the pointer to that value.
    #[must_use]
    pub fn new(root: &str, error: &serde_path_to_error::Error<serde_json::Error>) -> Self {
        Self { pointer: pointer(root, error.path()), detail: in_words_of_json(&error.inner().to_string()) }
    }
}

fn pointer(root: &str, path: &Path) -> String {
    let mut pointer = root.to_owned();
    for segment in path {
        match segment {
            Segment::Seq { index } => pointer.push_str(&format!("/{index}")),
            Segment::Map { key } => pointer.push_str(&format!("/{}", key.replace('~', "~0").replace('/', "~1"))),
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    pointer
}

/// What serde says it expected, and what that is in JSON.
const EXPECTED: [(&str, &str); 7] = [
    ("a map", "an object"),
    ("a sequence", "an array"),
    ("a borrowed string", "a string"),
    ("a boolean", "true or false"),
    ("unit", "null"),
    ("f32", "a number"),
    ("f64", "a number"),
];

/// What serde calls what it found, and what that is in JSON.
const FOUND: [(&str, &str); 3] =
    [("type: map", "type: object"), ("type: sequence", "type: array"), ("floating point `", "number `")];

/// serde's message without the position, which is told as a pointer, and without the names of Rust's types.
fn in_words_of_json(message: &str) -> String {
    let message = message.rsplit_once(" at line ").map_or(message, |(message, _)| message);
    let Some((found, expected)) = message.split_once(", expected ") else { return message.to_owned() };
    let integers = ["u8", "u16", "u32", "u64", "usize", "i8", "i16", "i32", "i64", "isize"];
    let expected = match expected.split_once(' ') {
        _ if integers.contains(&expected) => "a whole number",
        Some(("struct" | "enum" | "newtype" | "internally" | "adjacently", _)) => "an object",
        _ => EXPECTED.iter().find(|(word, _)| *word == expected).map_or(expected, |(_, better)| *better),
    };
    let found = FOUND.iter().fold(found.to_owned(), |found, (word, better)| found.replacen(word, better, 1));
    format!("{found}, expected {expected}")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;
    use crate::Priority;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read")]
    struct Wish {
        count: u32,
        ratio: Option<f64>,
        #[serde(default)]
        names: Vec<String>,
        labels: Option<BTreeMap<String, bool>>,
        priority: Option<Priority>,
    }

    fn misfit(text: &str) -> (String, String) {
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let error = serde_path_to_error::deserialize::<_, Wish>(&mut deserializer).unwrap_err();
        let Misfit { pointer, detail } = Misfit::new("/input", &error);
        (pointer, detail)
    }

    #[test]
    fn a_misfit_is_told_in_the_words_of_json() {
        for (text, pointer, detail) in [
            ("{}", "/input", "missing field `count`"),
            ("[]", "/input", "invalid length 0, expected an object"),
            ("7", "/input", "invalid type: integer `7`, expected an object"),
            (r#"{"count": 1.5}"#, "/input/count", "invalid type: number `1.5`, expected a whole number"),
            (r#"{"count": -1}"#, "/input/count", "invalid value: integer `-1`, expected a whole number"),
            (r#"{"count": 1, "ratio": "x"}"#, "/input/ratio", "invalid type: string \"x\", expected a number"),
            (r#"{"count": 1, "names": ["a", {}]}"#, "/input/names/1", "invalid type: object, expected a string"),
            (r#"{"count": 1, "names": {}}"#, "/input/names", "invalid type: object, expected an array"),
            (
                r#"{"count": 1, "labels": {"a/b": 1}}"#,
                "/input/labels/a~1b",
                "invalid type: integer `1`, expected true or false",
            ),
            (
                r#"{"count": 1, "priority": 10}"#,
                "/input/priority",
                "invalid type: integer `10`, expected a priority from \"P0\" (first) to \"P9\" (last)",
            ),
        ] {
            assert_eq!(misfit(text), (pointer.to_owned(), detail.to_owned()), "{text}");
        }
    }
}
