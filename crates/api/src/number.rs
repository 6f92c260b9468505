use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};

/// The longest time that can be asked for, in seconds: 366 days.
const SECONDS_MAX: f64 = 366.0 * 86_400.0;

/// A length of time, as a number of seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Seconds(pub(crate) Duration);

/// A whole number that is not negative. Unlike serde's own `u32`, it may be written `3.0`, which JSON does not tell from 3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Whole(pub(crate) u32);

/// A number as it may stand in a request.
trait Number: Sized {
    /// What is expected, for whoever sent something else.
    const EXPECTED: &'static str;

    /// The number, unless it is out of bounds.
    fn from_f64(number: f64) -> Option<Self>;
}

impl Number for Seconds {
    const EXPECTED: &'static str = "a number of seconds from 0 to 31622400 (366 days)";

    fn from_f64(number: f64) -> Option<Self> {
        (0.0..=SECONDS_MAX).contains(&number).then(|| Self(Duration::from_secs_f64(number)))
    }
}

impl Number for Whole {
    const EXPECTED: &'static str = "a whole number from 0";

    fn from_f64(number: f64) -> Option<Self> {
        let fits = number.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&number);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it was just looked at")]
        fits.then_some(Self(number as u32))
    }
}

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_f64(Reads(PhantomData))
    }
}

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_f64(Reads(PhantomData))
    }
}

struct Reads<N>(PhantomData<N>);

impl<N: Number> Visitor<'_> for Reads<N> {
    type Value = N;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(N::EXPECTED)
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<N, E> {
        N::from_f64(number).ok_or_else(|| E::invalid_value(Unexpected::Float(number), &self))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<N, E> {
        // What does not fit 32 bits is out of bounds anyway.
        let number_in_bounds = u32::try_from(number).ok().and_then(|number| N::from_f64(f64::from(number)));
        number_in_bounds.ok_or_else(|| E::invalid_value(Unexpected::Unsigned(number), &self))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<N, E> {
        Err(E::invalid_value(Unexpected::Signed(number), &self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_what_json_takes_them_for() {
        let whole = |text: &str| serde_json::from_str::<Whole>(text).ok().map(|Whole(number)| number);
        assert_eq!((whole("3"), whole("3.0"), whole("3e0")), (Some(3), Some(3), Some(3)));
        assert_eq!((whole("3.5"), whole("-1"), whole("4294967296"), whole("\"3\"")), (None, None, None, None));
        let seconds = |text: &str| serde_json::from_str::<Seconds>(text).ok().map(|Seconds(length)| length.as_millis());
        assert_eq!((seconds("0.25"), seconds("31622400"), seconds("-0.0")), (Some(250), Some(31_622_400_000), Some(0)));
        assert_eq!((seconds("-0.1"), seconds("31622401"), seconds("1e300")), (None, None, None));
    }
}
