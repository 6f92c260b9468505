use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// How urgent a job is within its queue: `P0` (first) to `P9` (last); `P5` unless told otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Priority(u8);

/// Text or a number that is no priority.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("expected a priority from P0 (first) to P9 (last)")]
pub struct PriorityError;

impl Priority {
    /// How many priorities there are.
    pub const COUNT: usize = 10;

    /// The priority of this number.
    ///
    /// # Errors
    /// If it is above 9.
    pub fn new(number: u8) -> Result<Self, PriorityError> {
        if usize::from(number) < Self::COUNT { Ok(Self(number)) } else { Err(PriorityError) }
    }

    /// 0 (first) to 9 (last).
    #[must_use]
    pub fn number(self) -> u8 {
        self.0
    }
}

impl Default for Priority {
    fn default() -> Self {
        Self(5)
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "P{}", self.0)
    }
}

impl FromStr for Priority {
    type Err = PriorityError;

    fn from_str(text: &str) -> Result<Self, PriorityError> {
        match text.as_bytes() {
            [b'P' | b'p', digit @ b'0'..=b'9'] => Ok(Self(digit - b'0')),
            _ => Err(PriorityError),
        }
    }
}

impl Serialize for Priority {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Priority {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Text)
    }
}

struct Text;

impl de::Visitor<'_> for Text {
    type Value = Priority;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a priority from \"P0\" (first) to \"P9\" (last)")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Priority, E> {
        text.parse().map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p0_comes_before_p9() {
        assert!("P0".parse::<Priority>().unwrap() < "p9".parse::<Priority>().unwrap());
        assert_eq!(Priority::new(10), Err(PriorityError));
        assert_eq!("P10".parse::<Priority>(), Err(PriorityError));
    }
}
