//! What came in, for those who want to see what was really sent. Bounded: the oldest makes room.

use std::collections::{BTreeMap, VecDeque};

use axum::http::HeaderMap;
use serde::{Deserialize, Serialize};

use crate::draw;

/// Requests that are remembered.
pub const REQUESTS_MAX: usize = 10_000;
/// What is remembered of a body.
pub const LOGGED_BODY_BYTES_MAX: usize = 4 * 1024;
/// What is remembered of a header's value.
pub const LOGGED_HEADER_BYTES_MAX: usize = 512;
/// Requests that are shown at once.
pub const REQUESTS_SHOWN_MAX: usize = 1_000;

/// Headers that are remembered, by their names or how these begin.
const OF_INTEREST: &[&str] = &[
    "accept",
    "anthropic-",
    "authorization",
    "content-type",
    "idempotency-key",
    "openai-",
    "prefer",
    "raincheck-",
    "traceparent",
    "user-agent",
    "x-api-key",
    "x-fal-",
    "x-request-id",
    "x-sim-",
    "x-stainless-",
];
/// Headers whose value is a secret.
const SECRET: &[&str] = &["authorization", "x-api-key"];

/// A request that came in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Received {
    /// The first is 1.
    pub number: u64,
    /// When, in milliseconds since the simulator started.
    pub at_ms: u64,
    /// The method.
    pub method: String,
    /// The path, with its query.
    pub path: String,
    /// Headers of interest; keys are masked, but can be told apart.
    pub headers: BTreeMap<String, String>,
    /// The SHA-256 of the body.
    pub body_sha256: String,
    /// The length of the body.
    pub body_bytes: usize,
    /// The body, as far as it is remembered.
    pub body: String,
    /// What was answered; nothing if the connection was cut, or the answer is still awaited.
    pub status: Option<u16>,
}

/// The last requests.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    kept: VecDeque<Received>,
    last: u64,
}

impl Requests {
    /// Remembers a request, and gives its number.
    pub(crate) fn add(&mut self, mut received: Received) -> u64 {
        self.last += 1;
        received.number = self.last;
        if self.kept.len() == REQUESTS_MAX {
            self.kept.pop_front();
        }
        self.kept.push_back(received);
        self.last
    }

    /// What a request was answered.
    pub(crate) fn answered(&mut self, number: u64, status: u16) {
        let place = self.kept.front().and_then(|first| number.checked_sub(first.number));
        let place = place.and_then(|place| usize::try_from(place).ok());
        if let Some(received) = place.and_then(|place| self.kept.get_mut(place)) {
            received.status = Some(status);
        }
    }

    /// Those after a number, oldest first.
    pub(crate) fn after(&self, number: u64, most: usize) -> Vec<Received> {
        let later = self.kept.iter().skip_while(|received| received.number <= number);
        later.take(most.min(REQUESTS_SHOWN_MAX)).cloned().collect()
    }

    /// Forgets them; numbers go on.
    pub(crate) fn clear(&mut self) {
        self.kept.clear();
    }
}

/// The headers of interest.
pub(crate) fn of_interest(headers: &HeaderMap) -> BTreeMap<String, String> {
    let wanted = |name: &str| OF_INTEREST.iter().any(|start| name.starts_with(start));
    let kept = headers.iter().filter(|(name, _)| wanted(name.as_str()));
    kept.map(|(name, value)| {
        let text = String::from_utf8_lossy(value.as_bytes());
        let text = if SECRET.contains(&name.as_str()) { masked(&text) } else { text.into_owned() };
        (name.to_string(), beginning(&text, LOGGED_HEADER_BYTES_MAX).to_owned())
    })
    .collect()
}

/// A secret, so that it can be told from another but not used.
fn masked(text: &str) -> String {
    let (scheme, secret) = text.split_once(' ').map_or(("", text), |(scheme, secret)| (scheme, secret.trim()));
    let hash = draw::hex_of(secret.as_bytes());
    let told = format!("(masked, sha256 {})", &hash[..8]);
    if scheme.is_empty() { told } else { format!("{scheme} {told}") }
}

/// As much of a text as fits.
pub(crate) fn beginning(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_but_can_be_told_apart() {
        let one = masked("Bearer sk-1");
        assert!(one.starts_with("Bearer (masked, sha256 ") && !one.contains("sk-1"), "{one}");
        assert_ne!(one, masked("Bearer sk-2"));
        assert_eq!(masked("sk-1"), one.trim_start_matches("Bearer "));
    }

    #[test]
    fn the_oldest_makes_room() {
        let mut requests = Requests::default();
        let received = Received {
            number: 0,
            at_ms: 0,
            method: "GET".into(),
            path: "/".into(),
            headers: BTreeMap::new(),
            body_sha256: String::new(),
            body_bytes: 0,
            body: String::new(),
            status: None,
        };
        for _ in 0..REQUESTS_MAX + 5 {
            requests.add(received.clone());
        }
        requests.answered(3, 200);
        requests.answered(6, 200);
        let first = &requests.after(0, 1)[0];
        assert_eq!((first.number, first.status, requests.kept.len()), (6, Some(200), REQUESTS_MAX));
        assert_eq!(requests.after(u64::try_from(REQUESTS_MAX).unwrap() + 4, 10).len(), 1);
    }
}
