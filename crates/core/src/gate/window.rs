use std::collections::VecDeque;
use std::time::Duration;

use crate::Time;

/// What limits are per, and a little more: a call that takes longer to its upstream than one a minute later is counted there
/// within the same minute as that.
const MINUTE: Duration = Duration::from_millis(60_250);
/// The limit is spread over the minute: about this part of it is used in the same part of the minute, so that who
/// comes late in a minute does not find all of it gone.
const PARTS: u64 = 10;
/// How long such a part is.
const PART: Duration = Duration::from_secs(6);
/// Limits above this are none.
const LIMIT_MAX: u64 = 1_000_000_000;

/// A limit of so much in any minute: requests, or tokens. What is taken counts for a minute from when it was taken, so no
/// minute, whenever it begins, holds more than the limit.
#[derive(Debug)]
pub struct Window {
    limit: u64,
    taken: VecDeque<Taken>,
    used: u64,
    next: u64,
    /// What the upstream itself said is left, until when.
    left: Option<(u64, Time)>,
    /// What others use of the limit that the upstream announced, until when.
    others: Option<Others>,
}

#[derive(Clone, Copy, Debug)]
struct Others {
    use_of: u64,
    announced: u64,
    until: Time,
}

#[derive(Clone, Copy, Debug)]
struct Taken {
    number: u64,
    at: Time,
    cost: u64,
}

/// A part of a limit that is taken. What it really cost is told with [`Window::settle`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reservation(u64);

impl Window {
    /// Nothing is taken yet.
    #[must_use]
    pub fn new(per_minute: u64) -> Self {
        let limit = per_minute.clamp(1, LIMIT_MAX);
        Self { limit, taken: VecDeque::new(), used: 0, next: 0, left: None, others: None }
    }

    /// The limit.
    #[must_use]
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// It is another from now on.
    pub fn set_limit(&mut self, per_minute: u64) {
        self.limit = per_minute.clamp(1, LIMIT_MAX);
    }

    /// How much of it is taken in the minute that ends now.
    pub fn used(&mut self, now: Time) -> u64 {
        self.forget(now);
        self.used
    }

    /// Whether `cost` can be taken now.
    ///
    /// # Errors
    /// When it is worth asking again.
    pub fn check(&mut self, cost: u64, now: Time) -> Result<(), Time> {
        self.forget(now);
        // More than the limit at once is for the upstream to refuse, but nothing else may be under way then.
        let cost = cost.min(self.limit);
        if let Some((left, until)) = self.left
            && cost > left
        {
            return Err(until);
        }
        if self.used + cost > self.limit {
            return Err(self.when_gone(self.used + cost - self.limit));
        }
        if let Some(others) = self.others
            && self.used + others.use_of + cost > others.announced
        {
            let over = self.used + others.use_of + cost - others.announced;
            let own = if over <= self.used { self.when_gone(over) } else { others.until };
            return Err(own.min(others.until));
        }
        match self.recent(now) {
            (used, Some(oldest)) if used >= self.part() => Err(oldest.after(PART)),
            _ => Ok(()),
        }
    }

    /// What of the limit may be begun within the same part of the minute: the last call may go beyond it, or calls that cost
    /// more than half of it would leave the rest unused.
    fn part(&self) -> u64 {
        self.limit.div_ceil(PARTS)
    }

    /// What was taken in this part of the minute, and when the first of it was.
    fn recent(&self, now: Time) -> (u64, Option<Time>) {
        let recent = self.taken.iter().rev().take_while(|taken| taken.at.after(PART) > now);
        recent.fold((0, None), |(used, _), taken| (used + taken.cost, Some(taken.at)))
    }

    /// Takes `cost`, whether or not there is room for it: ask [`Window::check`] first.
    pub fn take(&mut self, cost: u64, now: Time) -> Reservation {
        self.forget(now);
        let cost = cost.min(self.limit);
        let number = self.next;
        self.next += 1;
        self.taken.push_back(Taken { number, at: now, cost });
        self.used += cost;
        if let Some((left, _)) = &mut self.left {
            *left = left.saturating_sub(cost);
        }
        Reservation(number)
    }

    /// What was taken has turned out to cost this much; whether it still counts, because it was taken within the last minute.
    pub fn settle(&mut self, reservation: Reservation, actual: u64, now: Time) -> bool {
        self.forget(now);
        let place = self.taken.binary_search_by_key(&reservation.0, |taken| taken.number);
        if let Ok(place) = place {
            let taken = &mut self.taken[place];
            self.used = self.used - taken.cost + actual;
            taken.cost = actual;
        }
        place.is_ok()
    }

    /// The upstream said that so much is left, of this limit if it said which, and that all of it will be there then: others
    /// may use it too. Makes the limit stricter, never wider. Where the limit is known, what is used without being taken here
    /// is the others'; how long what was taken here counts is known better here.
    pub fn observe(&mut self, left: u64, of: Option<u64>, until: Time, now: Time) {
        self.forget(now);
        let until = until.min(now.after(MINUTE));
        if until <= now {
            return;
        }
        match of {
            Some(announced) => {
                let use_of = announced.saturating_sub(left).saturating_sub(self.used);
                // Calls on their way there are not in what it says, and make the others' part look smaller for a moment.
                let is_less = self.others.is_some_and(|known| known.announced == announced && known.use_of > use_of);
                if use_of > 0 && !is_less {
                    self.others = Some(Others { use_of, announced, until });
                }
            }
            None => self.left = Some((left, until)),
        }
    }

    /// How many calls that cost this much each could be taken now.
    pub fn free(&mut self, cost: u64, now: Time) -> usize {
        if self.check(cost, now).is_err() {
            return 0;
        }
        let cost = cost.clamp(1, self.limit);
        let beside = |others: Others| others.announced.saturating_sub(others.use_of).saturating_sub(self.used);
        let room = self
            .limit
            .saturating_sub(self.used)
            .min(self.left.map_or(u64::MAX, |(left, _)| left))
            .min(self.others.map_or(u64::MAX, beside));
        let soon = self.part().saturating_sub(self.recent(now).0).div_ceil(cost);
        usize::try_from((room / cost).min(soon)).unwrap_or(usize::MAX)
    }

    fn forget(&mut self, now: Time) {
        while let Some(taken) = self.taken.front().filter(|taken| taken.at.after(MINUTE) <= now) {
            self.used -= taken.cost;
            self.taken.pop_front();
        }
        self.left = self.left.filter(|(_, until)| *until > now);
        self.others = self.others.filter(|others| others.until > now);
    }

    /// When so much of what is taken will no longer count.
    fn when_gone(&self, amount: u64) -> Time {
        let mut gone = 0;
        let last = self.taken.iter().find(|taken| {
            gone += taken.cost;
            gone >= amount
        });
        last.or(self.taken.back()).map_or(Time::EPOCH, |taken| taken.at.after(MINUTE))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(millis: i64) -> Time {
        Time::from_millis(millis)
    }

    /// Takes whatever may be taken, asking again when told; gives when what was taken.
    fn work(window: &mut Window, costs: impl IntoIterator<Item = u64>, end: Time) -> Vec<(Time, u64)> {
        let (mut now, mut taken) = (at(0), Vec::new());
        for cost in costs {
            while let Err(again) = window.check(cost, now) {
                assert!(again > now, "told to ask again at once");
                now = again;
            }
            if now > end {
                break;
            }
            window.take(cost, now);
            taken.push((now, cost));
        }
        taken
    }

    fn most_in_a_minute(taken: &[(Time, u64)]) -> u64 {
        let within = |from: Time| taken.iter().filter(move |(at, _)| *at >= from && *at < from.after(MINUTE));
        taken.iter().map(|(from, _)| within(*from).map(|(_, cost)| cost).sum()).max().unwrap_or(0)
    }

    #[test]
    fn ten_minutes_of_demand_use_nearly_all_and_never_more() {
        let mut window = Window::new(500);
        let taken = work(&mut window, std::iter::repeat_n(1, 10_000), at(600_000));
        assert!(most_in_a_minute(&taken) <= 500);
        assert!(taken.len() >= 4_750, "{} of 5,000", taken.len());
    }

    #[test]
    fn large_costs_use_nearly_all_of_it_too() {
        for cost in [1_000, 3_300, 5_500, 6_000, 9_000, 11_000] {
            let mut window = Window::new(100_000);
            let taken = work(&mut window, std::iter::repeat_n(cost, 2_000), at(600_000));
            let (used, fits) = (cost * taken.len() as u64, 100_000 / cost * cost);
            assert!(most_in_a_minute(&taken) <= 100_000, "{cost}");
            assert!(used * 100 >= fits * 10 * 95, "{cost} a call: {used} of {}", fits * 10);
        }
    }

    #[test]
    fn a_cost_above_the_part_of_a_moment_goes_through_alone() {
        let mut window = Window::new(1_000);
        assert_eq!(window.check(900, at(0)), Ok(()));
        window.take(900, at(0));
        assert_eq!(window.check(50, at(0)), Err(at(6_000)), "the minute's turn for others");
        assert_eq!(window.check(200, at(7_000)), Err(at(60_250)));
        assert_eq!(window.check(50, at(7_000)), Ok(()));
        assert_eq!(window.check(5_000, at(60_250)), Ok(()), "more than the limit is for the upstream to refuse");
    }

    #[test]
    fn what_was_taken_is_trued_up() {
        let mut window = Window::new(1_000);
        let reservation = window.take(900, at(0));
        assert!(window.settle(reservation, 100, at(1)));
        assert_eq!(window.used(at(1)), 100);
        assert_eq!(window.used(at(60_250)), 0);
        assert!(!window.settle(reservation, 5, at(60_250)));
        assert_eq!(window.used(at(60_250)), 0);
    }

    #[test]
    fn what_the_upstream_says_is_left_counts_until_its_reset() {
        let mut window = Window::new(1_000);
        window.observe(1, None, at(5_000), at(0));
        assert_eq!(window.free(1, at(0)), 1);
        window.take(1, at(0));
        assert_eq!(window.check(1, at(0)), Err(at(5_000)));
        assert_eq!(window.check(1, at(5_000)), Ok(()));
        window.observe(0, None, at(5_000), at(6_000));
        assert_eq!(window.check(1, at(6_000)), Ok(()), "a reset that has passed says nothing");
    }

    #[test]
    fn what_others_use_of_an_announced_limit_counts_until_its_reset() {
        let mut window = Window::new(100);
        (0..4).for_each(|_| {
            window.take(1, at(0));
        });
        window.observe(96, Some(100), at(60_000), at(10));
        assert_eq!(window.check(1, at(10)), Ok(()), "all of it is our own use");
        window.observe(2, Some(100), at(9_000), at(20));
        assert_eq!((window.check(3, at(20)), window.free(1, at(20))), (Err(at(9_000)), 2));
        assert_eq!(window.check(3, at(9_000)), Ok(()));
    }

    proptest! {
        #[test]
        fn no_minute_holds_more_than_the_limit(limit in 1..500u64, costs in proptest::collection::vec(0..600u64, 1..300)) {
            let mut window = Window::new(limit);
            let costs: Vec<u64> = costs.into_iter().map(|cost| cost.min(limit)).collect();
            let taken = work(&mut window, costs, Time::MAX);
            prop_assert!(most_in_a_minute(&taken) <= limit);
        }

        #[test]
        fn as_many_as_are_free_can_be_taken(limit in 1..500u64, cost in 1..50u64, earlier in 0..100u64) {
            let mut window = Window::new(limit);
            if window.check(earlier, at(0)).is_ok() {
                window.take(earlier, at(0));
            }
            let now = at(7_000);
            for _ in 0..window.free(cost, now) {
                prop_assert_eq!(window.check(cost, now), Ok(()));
                window.take(cost, now);
            }
        }
    }
}
