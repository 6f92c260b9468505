use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, de};

/// The longest concurrency key, in bytes.
pub const CONCURRENCY_KEY_LENGTH_MAX: usize = 255;

/// Text that is no concurrency key.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("expected 1 to {CONCURRENCY_KEY_LENGTH_MAX} bytes of text without control characters")]
pub struct ConcurrencyKeyError;

/// What jobs of one tenant share of which no more than one may be under way: of those that have not ended, the one that was
/// accepted first is run, and the next only once that one has ended.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct ConcurrencyKey(Arc<str>);

impl ConcurrencyKey {
    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ConcurrencyKey {
    type Err = ConcurrencyKeyError;

    fn from_str(text: &str) -> Result<Self, ConcurrencyKeyError> {
        let good = (1..=CONCURRENCY_KEY_LENGTH_MAX).contains(&text.len()) && !text.contains(char::is_control);
        if good { Ok(Self(text.into())) } else { Err(ConcurrencyKeyError) }
    }
}

impl fmt::Display for ConcurrencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for ConcurrencyKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_short_and_visible() {
        for good in ["a", "conversation:conv_1", "Grüße an alle", &"x".repeat(255)] {
            assert_eq!(good.parse::<ConcurrencyKey>().unwrap().as_str(), good);
        }
        for bad in ["", "a\0", "a\nb", &"x".repeat(256)] {
            assert_eq!(bad.parse::<ConcurrencyKey>(), Err(ConcurrencyKeyError), "{bad}");
        }
    }
}
