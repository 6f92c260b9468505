use std::time::Duration;

use raincheck_core::{EVENTS_MAX, Time};

/// Each time that a log has grown by so much, progress is recorded half as often.
const EASED_EVERY: u64 = EVENTS_MAX / 10;

/// How often an attempt's progress is recorded: as often as is set at first, and ever more rarely as the log grows. A job
/// that reports progress all the time fills its log in days, not in hours, and nobody who follows it for so long wants to
/// see ten reports a second.
#[derive(Debug)]
pub(crate) struct Pace {
    /// How many events the log had when the store was last heard of.
    logged: u64,
    /// When progress was last recorded.
    last: Option<Time>,
}

impl Pace {
    pub(crate) fn new(logged: u64) -> Self {
        Self { logged, last: None }
    }

    /// Whether progress alone is worth recording now, if `interval` is how often it is recorded at most.
    pub(crate) fn is_due(&self, interval: Duration, now: Time) -> bool {
        let halvings = u32::try_from(self.logged / EASED_EVERY).unwrap_or(u32::MAX);
        // The recorder itself keeps to the interval as it is set.
        halvings == 0 || self.last.is_none_or(|last| now.since(last) >= interval.saturating_mul(1 << halvings.min(10)))
    }

    /// Something was recorded, and the log now has so many events.
    pub(crate) fn recorded(&mut self, logged: u64, now: Time) {
        (self.logged, self.last) = (logged, Some(now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_recorded_half_as_often_with_each_tenth_of_a_log() {
        let interval = Duration::from_millis(100);
        let mut pace = Pace::new(2);
        for (logged, wait_ms) in [(9_999, 0), (10_000, 200), (25_000, 400), (99_999, 51_200), (u64::MAX, 102_400)] {
            pace.recorded(logged, Time::EPOCH);
            assert!(pace.is_due(interval, Time::from_millis(wait_ms)), "{logged}");
            assert!(wait_ms == 0 || !pace.is_due(interval, Time::from_millis(wait_ms - 1)), "{logged}");
        }
    }
}
