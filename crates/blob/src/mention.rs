use std::collections::BTreeMap;

use serde_json::Value;

use crate::FileId;

/// Fields that name a file, and fields that list some, in requests of OpenAI's dialect and those akin to it.
const ONE: &str = "file_id";
const SEVERAL: &str = "file_ids";
/// What callers note for themselves is none of ours.
const NOT_IN: &str = "metadata";

/// A place in a request that names a file by an id of our form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mention {
    /// The file that is named.
    pub id: FileId,
    /// Where: a JSON pointer (RFC 6901).
    pub pointer: String,
}

/// Every place in a request that names a file by an id of our form. Ids of other forms are somebody else's.
#[must_use]
pub fn mentions(request: &Value) -> Vec<Mention> {
    let mut found = Vec::new();
    look(request, &mut String::new(), &mut found);
    found
}

fn look(value: &Value, pointer: &mut String, found: &mut Vec<Mention>) {
    let length = pointer.len();
    match value {
        Value::Object(fields) => {
            for (name, value) in fields.iter().filter(|(name, _)| *name != NOT_IN) {
                pointer.push('/');
                pointer.push_str(&name.replace('~', "~0").replace('/', "~1"));
                match value {
                    Value::String(text) if name == ONE => found.extend(mention(text, pointer)),
                    Value::Array(texts) if name == SEVERAL => {
                        let each = texts.iter().enumerate().filter_map(|(place, text)| Some((place, text.as_str()?)));
                        found.extend(each.filter_map(|(place, text)| mention(text, &format!("{pointer}/{place}"))));
                    }
                    _ => look(value, pointer, found),
                }
                pointer.truncate(length);
            }
        }
        Value::Array(values) => {
            for (place, value) in values.iter().enumerate() {
                pointer.push_str(&format!("/{place}"));
                look(value, pointer, found);
                pointer.truncate(length);
            }
        }
        _ => {}
    }
}

fn mention(text: &str, pointer: &str) -> Option<Mention> {
    Some(Mention { id: text.parse().ok()?, pointer: pointer.to_owned() })
}

/// Puts other names in the places that [`mentions`] finds.
pub fn rename(request: &mut Value, names: &BTreeMap<FileId, String>) {
    for Mention { id, pointer } in mentions(request) {
        if let (Some(place), Some(name)) = (request.pointer_mut(&pointer), names.get(&id)) {
            *place = Value::String(name.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn our_files_are_found_wherever_they_are_named_and_nothing_else_is() {
        let [one, two] = ["file-000001a20d5e7a0c5b0ad12563f27f30", "file-000001a20d5e7a0c5b0ad12563f27f31"];
        let mut request = json!({
            "input": [{"content": [
                {"type": "input_file", "file_id": one},
                {"type": "input_file", "file_id": "file-6F2ksmvXxt4VdoqmHRw6kL"},
                {"type": "input_text", "text": one},
            ]}],
            "tools": [{"container": {"file_ids": ["file-abc", two]}, "a/b": {"file_id": {"type": "string"}}}],
            "metadata": {"file_id": one},
        });
        let found: Vec<(String, String)> =
            mentions(&request).into_iter().map(|Mention { id, pointer }| (id.to_string(), pointer)).collect();
        let expected = [(one, "/input/0/content/0/file_id"), (two, "/tools/0/container/file_ids/1")];
        assert_eq!(found, expected.map(|(id, pointer)| (id.to_owned(), pointer.to_owned())));
        rename(&mut request, &BTreeMap::from([(two.parse().unwrap(), "theirs".to_owned())]));
        assert_eq!(request["tools"][0]["container"]["file_ids"], json!(["file-abc", "theirs"]));
        assert_eq!(request["input"][0]["content"][0]["file_id"], one);
    }
}
