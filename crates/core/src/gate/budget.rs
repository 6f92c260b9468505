use std::collections::VecDeque;
use std::time::Duration;

use crate::Time;

/// Over how long tries are counted.
const SPAN: Duration = Duration::from_secs(60);
/// Of so many first tries one retry is granted.
const FIRSTS_PER_RETRY: u64 = 10;
/// So many retries a second are granted whatever the first tries: else a quiet upstream would have none.
const RETRIES_PER_SECOND: u64 = 1;

/// How many retries an upstream is asked to bear: a tenth of the first tries of the last minute and one each second. While
/// it fails, retries then add a little to what it gets, instead of multiplying it.
#[derive(Debug, Default)]
pub struct RetryBudget {
    /// Second by second: first tries, and what retries cost.
    seconds: VecDeque<(Time, u64, u64)>,
}

impl RetryBudget {
    /// A call is tried for the first time.
    pub fn first(&mut self, now: Time) {
        self.second(now).1 += 1;
    }

    /// Whether a retry is granted; it is counted if so. One after a time-out costs 2: it has already cost the upstream much.
    pub fn retry(&mut self, after_timeout: bool, now: Time) -> bool {
        let cost = if after_timeout { 2 } else { 1 };
        self.second(now);
        let firsts: u64 = self.seconds.iter().map(|(_, firsts, _)| firsts).sum();
        let spent: u64 = self.seconds.iter().map(|(.., spent)| spent).sum();
        let granted = spent + cost <= firsts / FIRSTS_PER_RETRY + RETRIES_PER_SECOND * SPAN.as_secs();
        // The floor is one each second, not sixty in the first.
        let now_spent = self.second(now).2;
        let granted = granted && (now_spent == 0 || now_spent + cost <= (firsts / FIRSTS_PER_RETRY).max(1));
        if granted {
            self.second(now).2 += cost;
        }
        granted
    }

    fn second(&mut self, now: Time) -> &mut (Time, u64, u64) {
        while self.seconds.front().is_some_and(|(since, ..)| since.after(SPAN) <= now) {
            self.seconds.pop_front();
        }
        let is_now = |(since, ..): &(Time, u64, u64)| since.after(Duration::from_secs(1)) > now;
        if !self.seconds.back().is_some_and(is_now) {
            self.seconds.push_back((now, 0, 0));
        }
        self.seconds.back_mut().expect("one was just made")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Time {
        Time::from_millis(millis)
    }

    #[test]
    fn an_outage_is_not_multiplied() {
        let mut budget = RetryBudget::default();
        let (mut firsts, mut retries) = (0, 0);
        for tick in 0..6_000 {
            let now = at(tick * 10);
            budget.first(now);
            firsts += 1;
            retries += u32::from(budget.retry(false, now));
        }
        assert!(retries * 5 <= firsts, "{retries} retries of {firsts}");
        assert!(retries * 10 >= firsts, "{retries} retries of {firsts}");
    }

    #[test]
    fn a_quiet_upstream_has_one_retry_a_second() {
        let mut budget = RetryBudget::default();
        let granted: Vec<bool> = [0, 10, 20, 1_000, 1_010].into_iter().map(|ms| budget.retry(false, at(ms))).collect();
        assert_eq!(granted, [true, false, false, true, false]);
    }
}
