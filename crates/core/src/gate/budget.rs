use std::collections::VecDeque;
use std::time::Duration;

use crate::Time;

/// Over how long tries are counted.
const SPAN: Duration = Duration::from_secs(60);
/// Of so many first tries one retry is granted.
const FIRSTS_PER_RETRY: u64 = 10;
/// So many retries a second are granted whatever the first tries: else a quiet upstream would have none.
const RETRIES_PER_SECOND: u64 = 1;
/// Nobody is sent away for longer than this: retries that go well may have made room long before.
const AWAY_MAX: Duration = Duration::from_secs(15);

/// How many retries an upstream is asked to bear: a tenth of the first tries of the last minute and one each second. One that
/// goes well is not counted. While the upstream is down, retries so add a little to what it gets, instead of multiplying it;
/// while it fails some calls, each of them is tried again.
#[derive(Debug, Default)]
pub struct RetryBudget {
    /// Second by second: first tries, and retries.
    seconds: VecDeque<(Time, u64, u64)>,
    /// When the last that was sent away may come back.
    next: Option<Time>,
}

impl RetryBudget {
    /// A call is tried for the first time.
    pub fn first(&mut self, now: Time) {
        self.second(now).1 += 1;
    }

    /// Whether a retry is granted. It counts once it is made: [`RetryBudget::spend`].
    #[must_use]
    pub fn grants(&mut self, now: Time) -> bool {
        let (firsts, spent) = self.sums(now);
        let in_the_minute = spent < firsts / FIRSTS_PER_RETRY + RETRIES_PER_SECOND * SPAN.as_secs();
        // The floor is one each second, not sixty in the first.
        let now_spent = self.second(now).2;
        in_the_minute && now_spent < (firsts / FIRSTS_PER_RETRY).max(RETRIES_PER_SECOND)
    }

    /// When one that was not granted should ask again. Those that are sent away come back one by one, about as fast as
    /// retries are granted.
    pub fn again(&mut self, now: Time) -> Time {
        let (firsts, _) = self.sums(now);
        let per_span = firsts / FIRSTS_PER_RETRY + RETRIES_PER_SECOND * SPAN.as_secs();
        let apart = SPAN / u32::try_from(per_span).unwrap_or(u32::MAX);
        let next = self.next.unwrap_or(now).max(now).after(apart).min(now.after(AWAY_MAX));
        self.next = Some(next);
        next
    }

    /// A retry is made.
    pub fn spend(&mut self, now: Time) {
        self.second(now).2 += 1;
    }

    /// A retry went well.
    pub fn refund(&mut self) {
        if let Some((.., spent)) = self.seconds.iter_mut().rev().find(|(.., spent)| *spent > 0) {
            *spent -= 1;
        }
    }

    fn sums(&mut self, now: Time) -> (u64, u64) {
        self.second(now);
        self.seconds.iter().fold((0, 0), |(all, spent), (_, firsts, retries)| (all + firsts, spent + retries))
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

    fn retry(budget: &mut RetryBudget, now: Time) -> bool {
        let granted = budget.grants(now);
        if granted {
            budget.spend(now);
        }
        granted
    }

    #[test]
    fn an_outage_is_not_multiplied() {
        let mut budget = RetryBudget::default();
        let (mut firsts, mut retries) = (0, 0);
        for tick in 0..6_000 {
            let now = at(tick * 10);
            budget.first(now);
            firsts += 1;
            retries += u32::from(retry(&mut budget, now));
        }
        assert!(retries * 5 <= firsts, "{retries} retries of {firsts}");
        assert!(retries * 10 >= firsts, "{retries} retries of {firsts}");
    }

    #[test]
    fn a_quiet_upstream_has_one_retry_a_second() {
        let mut budget = RetryBudget::default();
        let granted: Vec<bool> =
            [0, 10, 20, 1_000, 1_010].into_iter().map(|millis| retry(&mut budget, at(millis))).collect();
        assert_eq!(granted, [true, false, false, true, false]);
    }

    #[test]
    fn retries_that_go_well_are_as_many_as_it_takes() {
        let mut budget = RetryBudget::default();
        for tick in 0..6_000 {
            let now = at(tick * 10);
            assert!(retry(&mut budget, now), "after {tick}");
            budget.refund();
        }
    }

    #[test]
    fn who_is_sent_away_comes_back_one_by_one_and_not_too_late() {
        let mut budget = RetryBudget::default();
        (0..600).for_each(|_| budget.first(at(0)));
        let again: Vec<i64> = (0..3).map(|_| budget.again(at(0)).as_millis()).collect();
        assert_eq!(again, [500, 1_000, 1_500]);
        assert_eq!((0..1_000).map(|_| budget.again(at(0)).as_millis()).max(), Some(15_000));
    }
}
