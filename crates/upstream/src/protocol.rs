//! What the providers' protocols differ in: how a call is addressed and signed, and how a refusal is worded.

use std::fmt;
use std::str::FromStr;

use hyper::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

/// The version of Anthropic's API that is spoken, unless the caller says another.
const ANTHROPIC_VERSION: (HeaderName, HeaderValue) =
    (HeaderName::from_static("anthropic-version"), HeaderValue::from_static("2023-06-01"));
const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// What an upstream speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// OpenAI's API, and all that are compatible with it.
    Openai,
    /// Anthropic's Messages API.
    Anthropic,
    /// FAL's queue.
    Fal,
    /// Replicate's predictions.
    Replicate,
    /// Any HTTP.
    Http,
}

impl Protocol {
    /// Every protocol.
    pub const ALL: [Self; 5] = [Self::Openai, Self::Anthropic, Self::Fal, Self::Replicate, Self::Http];

    /// Its name in the configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Openai => "openai",
            Self::Anthropic => "anthropic",
            Self::Fal => "fal",
            Self::Replicate => "replicate",
            Self::Http => "http",
        }
    }

    /// Puts the key where the protocol wants it. A key that cannot stand in a header is left out, and the upstream says so.
    pub(crate) fn sign(self, key: &str, headers: &mut HeaderMap) {
        let (name, text) = match self {
            Self::Anthropic => (X_API_KEY, key.to_owned()),
            Self::Fal => (AUTHORIZATION, format!("Key {key}")),
            Self::Openai | Self::Replicate | Self::Http => (AUTHORIZATION, format!("Bearer {key}")),
        };
        if let Ok(mut value) = HeaderValue::from_str(&text) {
            value.set_sensitive(true);
            headers.insert(name, value);
        }
    }

    /// Adds what the protocol wants in every call.
    pub(crate) fn complete(self, headers: &mut HeaderMap) {
        if self == Self::Anthropic {
            let (name, version) = ANTHROPIC_VERSION;
            headers.entry(name).or_insert(version);
        }
    }

    /// What the upstream calls the error, and what it says of it.
    pub(crate) fn error(self, body: &Value) -> (Option<&str>, Option<&str>) {
        let pick = |place: &str| body.pointer(place).and_then(Value::as_str).filter(|text| !text.is_empty());
        match self {
            Self::Openai => (
                pick("/error/code").or(pick("/error/type")),
                pick("/error/message").or(pick("/error")).or(pick("/message")),
            ),
            Self::Anthropic => (pick("/error/type"), pick("/error/message")),
            Self::Fal => (pick("/error_type"), pick("/detail").or(pick("/detail/0/msg")).or(pick("/error"))),
            Self::Replicate => (None, pick("/detail").or(pick("/title"))),
            Self::Http => (pick("/code").or(pick("/type")), pick("/message").or(pick("/detail")).or(pick("/error"))),
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A word that names no protocol.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("expected one of openai, anthropic, fal, replicate, http")]
pub struct ProtocolError;

impl FromStr for Protocol {
    type Err = ProtocolError;

    fn from_str(text: &str) -> Result<Self, ProtocolError> {
        Self::ALL.into_iter().find(|protocol| protocol.as_str() == text).ok_or(ProtocolError)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_protocol_signs_in_its_own_way() {
        let signed = |protocol: Protocol| {
            let mut headers = HeaderMap::new();
            protocol.sign("k", &mut headers);
            let (name, value) = headers.iter().next().unwrap();
            assert!(value.is_sensitive());
            format!("{name}: {}", value.to_str().unwrap())
        };
        let all: Vec<String> = Protocol::ALL.into_iter().map(signed).collect();
        let bearer = "authorization: Bearer k";
        assert_eq!(all, [bearer, "x-api-key: k", "authorization: Key k", bearer, bearer]);
    }

    #[test]
    fn refusals_are_read_in_each_dialect() {
        let openai = json!({"error": {"message": "no", "type": "requests", "code": "rate_limit_exceeded"}});
        assert_eq!(Protocol::Openai.error(&openai), (Some("rate_limit_exceeded"), Some("no")));
        let untyped = json!({"error": {"message": "no", "type": "server_error", "code": null}});
        assert_eq!(Protocol::Openai.error(&untyped), (Some("server_error"), Some("no")));
        let anthropic = json!({"type": "error", "error": {"type": "overloaded_error", "message": "busy"}});
        assert_eq!(Protocol::Anthropic.error(&anthropic), (Some("overloaded_error"), Some("busy")));
        let fal = json!({"detail": [{"msg": "field required"}], "error_type": "validation_error"});
        assert_eq!(Protocol::Fal.error(&fal), (Some("validation_error"), Some("field required")));
        assert_eq!(Protocol::Replicate.error(&json!({"detail": "gone"})), (None, Some("gone")));
        assert_eq!(Protocol::Http.error(&json!(7)), (None, None));
    }
}
