use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A throw of the dice, uniform over `u32`: the one source of chance that the rules take, as an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dice(pub u32);

impl Dice {
    /// Uniform in `0..=limit`.
    pub(crate) fn up_to(self, limit: Duration) -> Duration {
        let millis = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(u64::try_from((u128::from(millis) * u128::from(self.0)) >> 32).unwrap_or(u64::MAX))
    }
}

/// How long to wait before a job is tried again: exponential with full jitter, bounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backoff {
    /// The bound of the first wait, in milliseconds; doubles with each failure.
    pub base_ms: u32,
    /// The bound of every wait, in milliseconds.
    pub cap_ms: u32,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { base_ms: 1_000, cap_ms: 300_000 }
    }
}

impl Backoff {
    /// The longest wait that a `Retry-After` may ask for.
    pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(3_600);

    /// The wait after the `failures`-th failure (from 1).
    ///
    /// Full jitter: uniform between nothing and the exponential bound, so that jobs which failed together do not come
    /// back together. A `retry_after` from the other side is waited for in full (up to [`Self::RETRY_AFTER_MAX`]) and
    /// the jitter is added to it, so that nobody comes back early.
    #[must_use]
    pub fn wait(&self, failures: u32, retry_after: Option<Duration>, dice: Dice) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        let bound = (u64::from(self.base_ms) << doublings).min(u64::from(self.cap_ms));
        let jitter = dice.up_to(Duration::from_millis(bound));
        retry_after.map_or(jitter, |asked| asked.min(Self::RETRY_AFTER_MAX) + jitter)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MAX: Dice = Dice(u32::MAX);

    #[test]
    fn the_bound_doubles_up_to_the_cap() {
        let backoff = Backoff { base_ms: 1_000, cap_ms: 10_000 };
        let bounds: Vec<u128> = (1..=6).map(|failures| backoff.wait(failures, None, MAX).as_millis()).collect();
        assert_eq!(bounds, [999, 1999, 3999, 7999, 9999, 9999]);
        assert_eq!(backoff.wait(3, None, Dice(0)), Duration::ZERO);
    }

    #[test]
    fn retry_after_is_waited_for_in_full_but_not_for_ever() {
        let backoff = Backoff::default();
        assert!(backoff.wait(1, Some(Duration::from_secs(30)), Dice(0)) >= Duration::from_secs(30));
        assert!(backoff.wait(1, Some(Duration::MAX), MAX) < Backoff::RETRY_AFTER_MAX + Duration::from_secs(1));
    }

    proptest! {
        #[test]
        fn never_longer_than_the_cap(failures in any::<u32>(), base in any::<u32>(), cap in any::<u32>(), dice in any::<u32>()) {
            let wait = Backoff { base_ms: base, cap_ms: cap }.wait(failures, None, Dice(dice));
            prop_assert!(wait <= Duration::from_millis(u64::from(cap)));
        }
    }
}
