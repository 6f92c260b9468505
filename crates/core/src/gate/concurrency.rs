use std::time::Duration;

use crate::Time;

/// An adaptive limit begins here.
const START: f64 = 4.0;
/// It is lowered no more often than this, or than a first byte takes: one overload is told by many answers.
const LOWER_EVERY: Duration = Duration::from_secs(1);
/// If the first byte takes so many times as long as it does at its best, more calls at once only wait for each other.
const SLOWDOWN: f64 = 3.0;

/// How many calls an upstream takes at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConcurrencyLimit {
    /// Always this many.
    Fixed(usize),
    /// As many as it bears, found out as TCP does: twice as many for each limit's worth of good answers until it once was too
    /// much, and up to half of that again later; above it one more. Half as many when the upstream says that it is too much,
    /// fewer when the first bytes of its streams come much later than at their best.
    Adaptive {
        /// But never more than this.
        max: usize,
    },
}

/// What a call that has ended says of how much its upstream bears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bearing {
    /// Nothing.
    Unknown,
    /// It was too much (429, 503).
    TooMuch,
    /// It went well. How long it took says nothing: an answer that comes whole takes as long as it is.
    Good,
    /// It went well, and was streamed: this is how long its first byte took.
    Begun(Duration),
}

/// How many calls are under way, and how many more may be.
#[derive(Debug)]
pub struct Concurrency {
    limit: ConcurrencyLimit,
    current: f64,
    /// Up to here it doubles.
    doubles_to: f64,
    /// The last change was that it was lowered: what is lowered several times in a row was too much only at first, and may
    /// have been no matter of too much at all, but an outage.
    was_lowered: bool,
    under_way: usize,
    lowered_at: Option<Time>,
    /// How long the first byte of a stream takes: at its best, and lately.
    best: Option<Duration>,
    lately: Option<Duration>,
}

impl Concurrency {
    /// None are under way.
    #[must_use]
    pub fn new(limit: ConcurrencyLimit) -> Self {
        let current = match limit {
            ConcurrencyLimit::Fixed(limit) => limit.max(1) as f64,
            ConcurrencyLimit::Adaptive { max } => START.min(max.max(1) as f64),
        };
        Self {
            limit,
            current,
            doubles_to: f64::INFINITY,
            was_lowered: false,
            under_way: 0,
            lowered_at: None,
            best: None,
            lately: None,
        }
    }

    /// How many may be under way now.
    #[must_use]
    pub fn limit(&self) -> usize {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "from 1 to the maximum that was given"
        )]
        let limit = self.current as usize;
        limit
    }

    /// How many are.
    #[must_use]
    pub fn under_way(&self) -> usize {
        self.under_way
    }

    /// How many more may be.
    #[must_use]
    pub fn free(&self) -> usize {
        self.limit().saturating_sub(self.under_way)
    }

    /// One more is.
    pub fn enter(&mut self) {
        self.under_way += 1;
    }

    /// One less is.
    pub fn leave(&mut self, bearing: Bearing, now: Time) {
        let was_full = self.under_way * 2 >= self.limit();
        self.under_way = self.under_way.saturating_sub(1);
        let ConcurrencyLimit::Adaptive { max } = self.limit else { return };
        let is_slowed_down = match bearing {
            Bearing::Unknown => return,
            Bearing::TooMuch => return self.lower(0.5, now),
            Bearing::Good => false,
            Bearing::Begun(took) => {
                self.learn(took);
                self.is_slowed_down()
            }
        };
        if is_slowed_down {
            self.lower(0.9, now);
        } else if was_full {
            let more = if self.current < self.doubles_to { 1.0 } else { 1.0 / self.current };
            self.current = (self.current + more).min(max.max(1) as f64);
            self.was_lowered = false;
        }
    }

    fn learn(&mut self, took: Duration) {
        // The best is forgotten slowly, for an upstream may become slower for good.
        self.best = Some(self.best.map_or(took, |best| best.mul_f64(1.001).min(took)));
        self.lately = Some(self.lately.map_or(took, |lately| lately.mul_f64(0.9) + took.mul_f64(0.1)));
    }

    fn is_slowed_down(&self) -> bool {
        self.best
            .zip(self.lately)
            .is_some_and(|(best, lately)| lately > best.mul_f64(SLOWDOWN) + Duration::from_millis(50))
    }

    fn lower(&mut self, factor: f64, now: Time) {
        let wait = self.lately.unwrap_or_default().max(LOWER_EVERY);
        if self.lowered_at.is_none_or(|at| at.after(wait) <= now) {
            if !self.was_lowered {
                self.doubles_to = self.current / 2.0;
            }
            self.was_lowered = true;
            self.current = (self.current * factor).max(1.0);
            self.lowered_at = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAST: Bearing = Bearing::Begun(Duration::from_millis(100));

    fn at(millis: i64) -> Time {
        Time::from_millis(millis)
    }

    /// Answers to as many calls as may be under way.
    fn round(calls: &mut Concurrency, bearing: Bearing, now: i64) {
        let count = calls.free();
        (0..count).for_each(|_| calls.enter());
        (0..count).for_each(|_| calls.leave(bearing, at(now)));
    }

    #[test]
    fn a_fixed_limit_is_kept() {
        let mut calls = Concurrency::new(ConcurrencyLimit::Fixed(5));
        round(&mut calls, Bearing::TooMuch, 0);
        (0..3).for_each(|_| calls.enter());
        assert_eq!((calls.limit(), calls.under_way(), calls.free()), (5, 3, 2));
    }

    #[test]
    fn an_adaptive_one_doubles_until_it_is_too_much_and_then_grows_by_about_one_a_round() {
        let mut calls = Concurrency::new(ConcurrencyLimit::Adaptive { max: 100 });
        (0..4).for_each(|now| round(&mut calls, FAST, now));
        // Half of a round's answers come when less than half of the limit is under way, for none enter here meanwhile.
        assert!((16..=32).contains(&calls.limit()), "{}", calls.limit());
        let doubled = calls.limit();
        round(&mut calls, Bearing::TooMuch, 10_000);
        assert_eq!(calls.limit(), doubled / 2);
        (0..10).for_each(|now| round(&mut calls, FAST, 10_001 + now));
        assert!((doubled / 2 + 3..=doubled / 2 + 11).contains(&calls.limit()), "{}", calls.limit());
    }

    #[test]
    fn after_an_outage_it_is_soon_half_of_what_it_was() {
        let mut calls = Concurrency::new(ConcurrencyLimit::Adaptive { max: 100 });
        (0..20).for_each(|now| round(&mut calls, FAST, now));
        let grown = calls.limit();
        assert_eq!(grown, 100);
        round(&mut calls, Bearing::TooMuch, 10_000);
        assert_eq!(calls.limit(), grown / 2);
        (10_000..40_000).step_by(1_001).for_each(|now| round(&mut calls, Bearing::TooMuch, now));
        assert_eq!(calls.limit(), 1);
        (0..12).for_each(|now| round(&mut calls, FAST, 50_000 + now));
        assert!((50..60).contains(&calls.limit()), "{}", calls.limit());
    }

    #[test]
    fn it_is_lowered_when_first_bytes_come_late() {
        let mut calls = Concurrency::new(ConcurrencyLimit::Adaptive { max: 100 });
        (0..20).for_each(|now| round(&mut calls, FAST, now));
        let grown = calls.limit();
        (0..5).for_each(|now| round(&mut calls, Bearing::Begun(Duration::from_secs(2)), 10_000 + now * 3_000));
        assert!(calls.limit() < grown, "{} of {grown}", calls.limit());
    }

    #[test]
    fn answers_that_come_whole_say_nothing_of_first_bytes() {
        let mut calls = Concurrency::new(ConcurrencyLimit::Adaptive { max: 100 });
        for now in 0..20 {
            round(&mut calls, FAST, now * 3_000);
            round(&mut calls, Bearing::Good, now * 3_000 + 2_000);
        }
        assert_eq!(calls.limit(), 100);
    }
}
