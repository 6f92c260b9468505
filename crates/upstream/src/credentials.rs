use bytes::Bytes;
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use serde_json::Value;

use crate::{Route, Secret};

/// What stands in the place of a key.
pub(crate) const HIDDEN: &str = "[key]";
/// What is shorter is no key, and may be a word.
const LENGTH_MIN: usize = 8;

/// The keys that a request carries. What its upstream says of it is told on, to callers and to logs, and may say them again.
pub(crate) struct Credentials(Vec<String>);

impl Credentials {
    /// Those in a request's headers.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let bearer = text(AUTHORIZATION.as_str()).map(|value| value.split_once(' ').map_or(value, |(_, key)| key));
        Self::from_iter([bearer, text("x-api-key")].into_iter().flatten())
    }

    fn from_iter<'a>(keys: impl Iterator<Item = &'a str>) -> Self {
        Self(keys.filter(|key| key.len() >= LENGTH_MIN).map(str::to_owned).collect())
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// A text without them.
    pub(crate) fn hide(&self, text: &str) -> Option<String> {
        let stands = |key: &&String| text.contains(key.as_str());
        self.0.iter().find(stands)?;
        Some(self.0.iter().fold(text.to_owned(), |text, key| text.replace(key.as_str(), HIDDEN)))
    }

    pub(crate) fn hide_in_bytes(&self, bytes: Bytes) -> Bytes {
        let hidden = std::str::from_utf8(&bytes).ok().and_then(|text| self.hide(text));
        hidden.map_or(bytes, Bytes::from)
    }

    pub(crate) fn hide_in_headers(&self, headers: &mut HeaderMap) {
        for value in headers.values_mut() {
            let hidden = value.to_str().ok().and_then(|text| self.hide(text));
            if let Some(hidden) = hidden {
                *value = HeaderValue::try_from(hidden).unwrap_or(HeaderValue::from_static(HIDDEN));
            }
        }
    }

    fn hide_in(&self, value: &mut Value) {
        match value {
            Value::String(text) => {
                if let Some(hidden) = self.hide(text) {
                    *text = hidden;
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.hide_in(item)),
            Value::Object(fields) => fields.values_mut().for_each(|value| self.hide_in(value)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}

impl Route {
    fn credentials(&self) -> Credentials {
        Credentials::from_iter(self.own_key.iter().chain(&self.config().api_key).map(Secret::reveal))
    }

    /// Takes the upstream's key out of what it said.
    pub fn hide_key(&self, said: &mut Value) {
        self.credentials().hide_in(said);
    }

    /// A text of the upstream's without its key.
    #[must_use]
    pub fn without_key(&self, text: String) -> String {
        self.credentials().hide(&text).unwrap_or(text)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_key_is_hidden_wherever_it_is_said_again() {
        let headers = |name: &'static str, value: &'static str| {
            HeaderMap::from_iter([(name.parse().unwrap(), HeaderValue::from_static(value))])
        };
        for request in [headers("authorization", "Key sk-canary-1"), headers("x-api-key", "sk-canary-1")] {
            let keys = Credentials::of(&request);
            let bytes = keys.hide_in_bytes(Bytes::from_static(b"{\"error\": \"no sk-canary-1, sk-canary-1\"}"));
            assert_eq!(bytes, "{\"error\": \"no [key], [key]\"}");
            let mut answer = headers("x-said", "it was sk-canary-1");
            keys.hide_in_headers(&mut answer);
            assert_eq!(answer["x-said"], "it was [key]");
            let mut value = json!({"a": ["sk-canary-1", 7], "b": {"c": "x sk-canary-1"}});
            keys.hide_in(&mut value);
            assert_eq!(value, json!({"a": ["[key]", 7], "b": {"c": "x [key]"}}));
        }
        assert_eq!(Credentials::of(&headers("authorization", "Bearer any")).hide("any word"), None);
    }
}
