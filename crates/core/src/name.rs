use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, de};

/// The longest name of a kind, queue, tenant or lane, in bytes.
pub const NAME_LENGTH_MAX: usize = 64;

/// Text that cannot name a kind, queue, tenant or lane.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("expected 1 to {NAME_LENGTH_MAX} of a-z A-Z 0-9 . _ - beginning with a letter or digit")]
pub struct NameError;

fn check(text: &str) -> Result<Arc<str>, NameError> {
    let bytes = text.as_bytes();
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let starts_well = bytes.first().is_some_and(u8::is_ascii_alphanumeric);
    if starts_well && bytes.len() <= NAME_LENGTH_MAX && bytes.iter().all(allowed) {
        Ok(text.into())
    } else {
        Err(NameError)
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                check(text).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(de::Error::custom)
            }
        }
    };
}

name! {
    /// What sort of work a job is, such as `audio.scan`; picks the handler that runs it.
    Kind
}
name! {
    /// Where a job waits.
    QueueName
}
name! {
    /// Whose a job is. Nobody sees another tenant's jobs, and tenants share each queue fairly.
    Tenant
}

name! {
    /// What a job needs besides a worker: a slow upstream that takes only so much at once. Jobs of one lane wait together
    /// while it is closed, and hold up nobody else.
    Lane
}

impl Default for Tenant {
    /// The tenant of a server that is used without keys.
    fn default() -> Self {
        Self("default".into())
    }
}

impl From<&Kind> for QueueName {
    /// The queue that jobs of a kind wait in unless told otherwise bears the kind's name.
    fn from(kind: &Kind) -> Self {
        Self(Arc::clone(&kind.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_plain_words() {
        for good in ["audio.scan", "a", "P0_x-1", &"x".repeat(64)] {
            assert!(good.parse::<Kind>().is_ok(), "{good}");
        }
        for bad in ["", ".x", "-x", "a b", "ä", "a/b", "a\0", &"x".repeat(65)] {
            assert_eq!(bad.parse::<Kind>(), Err(NameError), "{bad}");
        }
    }
}
