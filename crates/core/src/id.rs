use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use uuid::Uuid;

use crate::Time;

const PREFIX: &str = "job_";
const RANDOM_BITS: u32 = 62;
const RANDOM_MASK: u64 = (1 << RANDOM_BITS) - 1;
const COUNTER_BITS: u32 = 12;

/// The name of a job: `job_` and a UUIDv7 (RFC 9562) as 32 hexadecimal digits.
///
/// Ids of one [`Minter`] grow strictly, so they sort by acceptance. The first 60 bits (milliseconds and a counter) are
/// the [`JobKey`] under which a store keeps the job; the other 62 are random, so that an id cannot be guessed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(Uuid);

/// The sortable first 60 bits of a [`JobId`]: what stores use as integer key. Always positive as an `i64`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobKey(u64);

impl JobKey {
    /// Sorts before every other.
    pub(crate) const MIN: Self = Self(0);
    /// Sorts after every other.
    pub(crate) const MAX: Self = Self((1 << 60) - 1);

    /// The key as a signed 64-bit integer, the form that SQL databases keep.
    #[must_use]
    pub fn as_i64(self) -> i64 {
        i64::try_from(self.0).unwrap_or(i64::MAX)
    }

    /// The key that [`JobKey::as_i64`] gave; `None` for a number that no key has.
    #[must_use]
    pub fn from_i64(number: i64) -> Option<Self> {
        u64::try_from(number).ok().filter(|number| number >> 60 == 0).map(Self)
    }

    /// When the job of this key was accepted, to the millisecond (or a little later, where many came at once).
    #[must_use]
    pub fn minted_at(self) -> Time {
        Time::from_millis(i64::try_from(self.0 >> COUNTER_BITS).unwrap_or(i64::MAX))
    }
}

impl JobId {
    /// The id with this key and these random bits (of which the low 62 count).
    #[must_use]
    pub fn new(key: JobKey, random: u64) -> Self {
        let high = (key.0 >> COUNTER_BITS << 16) | 0x7000 | (key.0 & ((1 << COUNTER_BITS) - 1));
        let low = (0b10 << RANDOM_BITS) | (random & RANDOM_MASK);
        Self(Uuid::from_u64_pair(high, low))
    }

    /// The sortable part.
    #[must_use]
    pub fn key(&self) -> JobKey {
        let (high, _) = self.0.as_u64_pair();
        JobKey((high >> 16 << COUNTER_BITS) | (high & ((1 << COUNTER_BITS) - 1)))
    }

    /// The id as a UUID is written: 36 characters, without the prefix.
    #[must_use]
    pub fn uuid(&self) -> String {
        self.0.hyphenated().to_string()
    }

    /// The id without its prefix.
    pub(crate) fn digits(&self) -> impl fmt::Display {
        self.0.simple()
    }

    /// Reads what [`JobId::digits`] gives, with or without hyphens.
    pub(crate) fn from_digits(text: &str) -> Result<Self, IdError> {
        let uuid = Uuid::try_parse(text).map_err(|_| IdError)?;
        if uuid.get_version_num() != 7 || uuid.get_variant() != uuid::Variant::RFC4122 {
            return Err(IdError);
        }
        Ok(Self(uuid))
    }

    /// The random part, 62 bits.
    #[must_use]
    pub fn random(&self) -> u64 {
        self.0.as_u64_pair().1 & RANDOM_MASK
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", self.0.simple())
    }
}

impl fmt::Debug for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Text that is no id.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("expected an id: a word such as job_ followed by 32 hexadecimal digits")]
pub struct IdError;

impl FromStr for JobId {
    type Err = IdError;

    /// Reads `job_` and a UUIDv7, with or without hyphens.
    fn from_str(text: &str) -> Result<Self, IdError> {
        Self::from_digits(text.strip_prefix(PREFIX).ok_or(IdError)?)
    }
}

impl Serialize for JobId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for JobId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// Makes job ids whose keys grow strictly, even when the clock stands still or steps back.
///
/// Follows RFC 9562 section 6.2, method 1: a counter inside the millisecond, which borrows from the next one when 4,096
/// ids were made in one.
#[derive(Debug)]
pub struct Minter {
    last: u64,
}

impl Minter {
    /// A minter whose ids all sort after `last`, the greatest key known so far.
    #[must_use]
    pub fn after(last: Option<JobKey>) -> Self {
        Self { last: last.map_or(0, |key| key.0) }
    }

    /// The next id.
    pub fn mint(&mut self, now: Time, random: u64) -> JobId {
        let millis = u64::try_from(now.as_millis()).unwrap_or(0);
        self.last = (millis << COUNTER_BITS).max(self.last + 1);
        JobId::new(JobKey(self.last), random)
    }
}

/// A process, or a part of one, that runs jobs.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WorkerId(std::sync::Arc<str>);

impl WorkerId {
    /// The worker of this name.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// Its name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The fencing token of a lease: grows with every claim of a job, and stands in the condition of every write of an
/// attempt, so that one which lost its lease can change nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fence(pub u64);

impl Fence {
    /// The token of the next claim.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ids_sort_by_acceptance_even_when_the_clock_steps_back() {
        let mut minter = Minter::after(None);
        let times = [5_000, 5_000, 4_000, 5_001, 5_001];
        let ids: Vec<JobId> = times.iter().map(|&ms| minter.mint(Time::from_millis(ms), u64::MAX)).collect();
        assert!(ids.windows(2).all(|pair| pair[0] < pair[1] && pair[0].key() < pair[1].key()));
        assert!(ids.windows(2).all(|pair| pair[0].to_string() < pair[1].to_string()));
    }

    #[test]
    fn more_than_4096_ids_in_a_millisecond_borrow_from_the_next() {
        let mut minter = Minter::after(None);
        let ids: Vec<JobId> = (0..10_000).map(|_| minter.mint(Time::from_millis(7), 0)).collect();
        assert!(ids.windows(2).all(|pair| pair[0].key() < pair[1].key()));
        assert_eq!(ids[9_999].key().minted_at(), Time::from_millis(9));
    }

    #[test]
    fn other_uuids_and_words_are_refused() {
        for text in ["", "job_", "019a8e7c12347abc8def0123456789ab", "job_019a8e7c12344abc8def0123456789ab", "job_x"] {
            assert_eq!(text.parse::<JobId>(), Err(IdError), "{text}");
        }
    }

    proptest! {
        #[test]
        fn text_and_parts_round_trip(key in 0u64..1 << 60, random in any::<u64>()) {
            let id = JobId::new(JobKey(key), random);
            prop_assert_eq!(id.key(), JobKey(key));
            prop_assert_eq!(id.random(), random & RANDOM_MASK);
            prop_assert_eq!(JobKey::from_i64(id.key().as_i64()), Some(id.key()));
            prop_assert_eq!(id.to_string().parse::<JobId>(), Ok(id));
            prop_assert_eq!(format!("job_{}", id.0.hyphenated()).parse::<JobId>(), Ok(id));
        }
    }
}
