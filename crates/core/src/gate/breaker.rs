use std::collections::VecDeque;
use std::time::Duration;

use crate::{Dice, Time};

/// Outcomes are judged over this at least; over as long as the slowest call takes, if that is more.
const SPAN_MIN: Duration = Duration::from_secs(30);
/// And over this at most.
const SPAN_MAX: Duration = Duration::from_secs(20 * 60);
/// With fewer outcomes nothing is judged.
const OUTCOMES_MIN: u64 = 20;
/// So many failures in a row need no more judging, however well it went before: a busy upstream that goes down is left alone
/// within a second, not only once half of a span has failed.
const FAILURES_MAX: u32 = 20;
/// So many calls in a row that reached nobody need none either.
const CONNECT_FAILURES_MAX: u32 = 5;
/// How long nothing is let through at first; twice as long each time the probe fails.
const OPEN_MIN: Duration = Duration::from_secs(5);
/// And never longer than this: an upstream that works again is used as before within a minute, which includes what has
/// piled up meanwhile; and one probe in that time is nothing to one that does not.
const OPEN_MAX: Duration = Duration::from_secs(20);
/// So many good probes close it again.
const PROBES: u32 = 5;

/// What an outcome says of the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// It works.
    Good,
    /// It fails.
    Bad,
    /// It was not reached at all.
    Unreached,
    /// Nothing: it was throttled, or the caller went away.
    None,
}

/// A breaker's state, as it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// Calls go through.
    Closed,
    /// None do until then.
    Open(Time),
    /// A few do, to see whether it works again.
    HalfOpen,
}

/// Stops calls to an upstream that fails most of them, and finds out when it works again: one probe, then two at once, four,
/// and so on. An answer that begins well lets more go, so that slow calls are not tried one after another; only those that
/// end well close it.
#[derive(Debug, Default)]
pub struct Breaker {
    /// Good and bad outcomes, second by second.
    seconds: VecDeque<(Time, u64, u64)>,
    unreached: u32,
    failures: u32,
    slowest: Duration,
    phase: Phase,
    spell: Spell,
}

/// The time from one opening to the next. A call belongs to that in which it was let through: how it ends says nothing of what the
/// upstream has become since.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spell(u64);

#[derive(Clone, Copy, Debug, Default)]
enum Phase {
    #[default]
    Closed,
    Open {
        until: Time,
        wait: Duration,
    },
    HalfOpen {
        wait: Duration,
        under_way: u32,
        begun: u32,
        good: u32,
    },
}

impl Breaker {
    /// Its state.
    #[must_use]
    pub fn state(&self, now: Time) -> BreakerState {
        match self.phase {
            Phase::Closed => BreakerState::Closed,
            Phase::Open { until, .. } if until > now => BreakerState::Open(until),
            Phase::Open { .. } | Phase::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }

    /// How many calls it would let through now.
    ///
    /// # Errors
    /// If none: when to ask again. While a probe is under way that is known to nobody, and a second is said.
    pub fn free(&self, now: Time) -> Result<usize, Time> {
        match self.phase {
            Phase::Closed => Ok(usize::MAX),
            Phase::Open { until, .. } if until > now => Err(until),
            Phase::Open { .. } => Ok(1),
            Phase::HalfOpen { under_way, begun, .. } => match (1 << begun.min(PROBES)) - i64::from(under_way) {
                free if free > 0 => Ok(usize::try_from(free).unwrap_or(1)),
                _ => Err(now.after(Duration::from_secs(1))),
            },
        }
    }

    /// A call is let through. Gives to which spell it belongs, which [`Breaker::record`] wants to know.
    pub fn start(&mut self, now: Time) -> Spell {
        if let Phase::Open { until, wait } = self.phase
            && until <= now
        {
            self.phase = Phase::HalfOpen { wait, under_way: 0, begun: 0, good: 0 };
        }
        if let Phase::HalfOpen { under_way, .. } = &mut self.phase {
            *under_way += 1;
        }
        self.spell
    }

    /// The answer to a call has begun, and says nothing bad.
    pub fn begun(&mut self, of: Spell) {
        if of == self.spell
            && let Phase::HalfOpen { begun, .. } = &mut self.phase
        {
            *begun += 1;
        }
    }

    /// A call that was let through has ended after `took`.
    pub fn record(&mut self, sign: Sign, of: Spell, took: Duration, now: Time, dice: Dice) {
        if of != self.spell {
            // Let through before it opened: what that says is known already.
            return;
        }
        match &mut self.phase {
            Phase::Closed => self.judge(sign, took, now, dice),
            Phase::Open { .. } => {}
            Phase::HalfOpen { wait, under_way, begun, good } => {
                *under_way = under_way.saturating_sub(1);
                match sign {
                    Sign::Good => {
                        *good += 1;
                        *begun = (*begun).max(*good);
                    }
                    Sign::Bad | Sign::Unreached => {
                        let wait = (*wait * 2).min(OPEN_MAX);
                        return self.open(wait, now, dice);
                    }
                    Sign::None => {}
                }
                if *good >= PROBES {
                    *self = Self { slowest: self.slowest, spell: self.spell, ..Self::default() };
                }
            }
        }
    }

    fn judge(&mut self, sign: Sign, took: Duration, now: Time, dice: Dice) {
        self.slowest = self.slowest.max(took).min(SPAN_MAX);
        let (good, bad) = match sign {
            Sign::Good => (1, 0),
            Sign::Bad | Sign::Unreached => (0, 1),
            Sign::None => return,
        };
        self.unreached = if sign == Sign::Unreached { self.unreached + 1 } else { 0 };
        self.failures = if bad > 0 { self.failures + 1 } else { 0 };
        let span = self.slowest.max(SPAN_MIN);
        while self.seconds.front().is_some_and(|(since, ..)| since.after(span) <= now) {
            self.seconds.pop_front();
        }
        match self.seconds.back_mut() {
            Some((since, goods, bads)) if since.after(Duration::from_secs(1)) > now => {
                *goods += good;
                *bads += bad;
            }
            _ => self.seconds.push_back((now, good, bad)),
        }
        let (goods, bads) = self.seconds.iter().fold((0, 0), |(g, b), (_, good, bad)| (g + good, b + bad));
        let fails = goods + bads >= OUTCOMES_MIN && bads * 2 >= goods + bads;
        let in_a_row = self.failures >= FAILURES_MAX || self.unreached >= CONNECT_FAILURES_MAX;
        if bad > 0 && (fails || in_a_row) {
            self.open(OPEN_MIN, now, dice);
        }
    }

    fn open(&mut self, wait: Duration, now: Time, dice: Dice) {
        self.seconds.clear();
        (self.unreached, self.failures) = (0, 0);
        self.spell = Spell(self.spell.0 + 1);
        // A fifth longer at random, so that many servers do not probe at the same moment.
        self.phase = Phase::Open { until: now.after(wait + dice.up_to(wait / 5)), wait };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SHORT: Duration = Duration::from_millis(100);

    fn at(millis: i64) -> Time {
        Time::from_millis(millis)
    }

    fn call(breaker: &mut Breaker, sign: Sign, now: i64) {
        let spell = breaker.start(at(now));
        breaker.record(sign, spell, SHORT, at(now), Dice(0));
    }

    #[test]
    fn it_opens_when_half_of_twenty_fail_and_not_before() {
        let mut breaker = Breaker::default();
        for number in 0..19 {
            call(&mut breaker, if number % 2 == 0 { Sign::Bad } else { Sign::Good }, number);
        }
        assert_eq!(breaker.state(at(19)), BreakerState::Closed);
        call(&mut breaker, Sign::Bad, 19);
        assert_eq!(breaker.state(at(19)), BreakerState::Open(at(5_019)));
        assert_eq!(breaker.free(at(20)), Err(at(5_019)));
    }

    #[test]
    fn five_in_a_row_that_reach_nobody_open_it() {
        let mut breaker = Breaker::default();
        (0..4).for_each(|now| call(&mut breaker, Sign::Unreached, now));
        call(&mut breaker, Sign::Bad, 4);
        (5..9).for_each(|now| call(&mut breaker, Sign::Unreached, now));
        assert_eq!(breaker.state(at(9)), BreakerState::Closed);
        call(&mut breaker, Sign::Unreached, 9);
        assert_eq!(breaker.state(at(9)), BreakerState::Open(at(5_009)));
    }

    #[test]
    fn twenty_failures_in_a_row_open_it_however_well_it_went() {
        let mut breaker = Breaker::default();
        (0..1_000).for_each(|now| call(&mut breaker, Sign::Good, now));
        (0..19).for_each(|now| call(&mut breaker, Sign::Bad, 1_000 + now));
        assert_eq!(breaker.state(at(1_019)), BreakerState::Closed);
        call(&mut breaker, Sign::Bad, 1_019);
        assert_eq!(breaker.state(at(1_019)), BreakerState::Open(at(6_019)));
    }

    #[test]
    fn slow_probes_that_begin_well_let_more_go_and_close_it_only_at_their_end() {
        let mut breaker = Breaker::default();
        (0..5).for_each(|_| call(&mut breaker, Sign::Unreached, 0));
        let first = breaker.start(at(5_000));
        breaker.begun(first);
        assert_eq!(breaker.free(at(5_100)), Ok(1));
        let second = breaker.start(at(5_100));
        breaker.begun(second);
        assert_eq!(breaker.free(at(5_200)), Ok(2));
        assert_eq!(breaker.state(at(5_200)), BreakerState::HalfOpen);
        breaker.record(Sign::Bad, second, SHORT, at(5_300), Dice(0));
        assert_eq!(
            breaker.state(at(5_300)),
            BreakerState::Open(at(15_300)),
            "one that stalls in the middle opens it again"
        );
    }

    #[test]
    fn a_probe_of_before_it_opened_again_says_nothing_of_what_came_after() {
        let mut breaker = Breaker::default();
        let old = breaker.start(at(0));
        (0..5).for_each(|_| call(&mut breaker, Sign::Unreached, 0));
        let first = breaker.start(at(5_000));
        breaker.begun(first);
        call(&mut breaker, Sign::Bad, 5_100);
        let second = breaker.start(at(15_100));
        for stale in [old, first] {
            breaker.begun(stale);
            (0..PROBES).for_each(|_| breaker.record(Sign::Good, stale, SHORT, at(15_200), Dice(0)));
        }
        assert_eq!(breaker.state(at(15_200)), BreakerState::HalfOpen);
        assert!(breaker.free(at(15_200)).is_err(), "one probe is under way still");
        breaker.record(Sign::Bad, first, SHORT, at(15_200), Dice(0));
        assert_eq!(breaker.state(at(15_200)), BreakerState::HalfOpen, "nor that it fails");
        breaker.record(Sign::Good, second, SHORT, at(15_300), Dice(0));
        assert_eq!(breaker.free(at(15_300)), Ok(2));
        (0..PROBES).for_each(|_| call(&mut breaker, Sign::Good, 15_400));
        // And once it is closed, twenty that fail late do not open it.
        (0..20).for_each(|_| breaker.record(Sign::Bad, old, SHORT, at(15_500), Dice(0)));
        assert_eq!(breaker.state(at(15_500)), BreakerState::Closed);
    }

    #[test]
    fn being_throttled_never_opens_it() {
        let mut breaker = Breaker::default();
        (0..1_000).for_each(|now| call(&mut breaker, Sign::None, now));
        assert_eq!(breaker.state(at(1_000)), BreakerState::Closed);
    }

    #[test]
    fn one_probe_at_a_time_then_a_ramp_then_closed() {
        let mut breaker = Breaker::default();
        (0..5).for_each(|_| call(&mut breaker, Sign::Unreached, 0));
        assert_eq!(breaker.free(at(5_000)), Ok(1));
        let probe = breaker.start(at(5_000));
        assert_eq!(breaker.free(at(5_001)), Err(at(6_001)));
        breaker.record(Sign::Good, probe, SHORT, at(5_100), Dice(0));
        assert_eq!(breaker.free(at(5_100)), Ok(2));
        for now in 5_100..5_104 {
            assert_eq!(breaker.state(at(now)), BreakerState::HalfOpen);
            call(&mut breaker, Sign::Good, now);
        }
        assert_eq!((breaker.state(at(5_104)), breaker.free(at(5_104))), (BreakerState::Closed, Ok(usize::MAX)));
    }

    #[test]
    fn a_failed_probe_opens_it_for_twice_as_long_up_to_a_bound() {
        let mut breaker = Breaker::default();
        (0..5).for_each(|_| call(&mut breaker, Sign::Unreached, 0));
        let mut waits = Vec::new();
        for _ in 0..8 {
            let BreakerState::Open(until) = breaker.state(at(0)) else { panic!("it is open") };
            call(&mut breaker, Sign::Bad, until.as_millis());
            let BreakerState::Open(next) = breaker.state(until) else { panic!("it is open") };
            waits.push(next.since(until).as_secs());
        }
        assert_eq!(waits, [10, 20, 20, 20, 20, 20, 20, 20]);
    }

    #[test]
    fn slow_calls_are_judged_over_as_long_as_they_take() {
        let mut breaker = Breaker::default();
        for number in 0..20 {
            let spell = breaker.start(at(0));
            let now = at((number + 1) * 60_000);
            breaker.record(Sign::Bad, spell, Duration::from_secs(1_200), now, Dice(0));
        }
        assert!(matches!(breaker.state(at(1_200_000)), BreakerState::Open(_)));
    }

    proptest! {
        #[test]
        fn it_never_stays_shut(signs in proptest::collection::vec((0..4u8, 0..20_000i64), 1..200)) {
            let (mut breaker, mut now) = (Breaker::default(), 0);
            for (sign, wait) in signs {
                now += wait;
                if breaker.free(at(now)).is_ok() {
                    let sign = [Sign::Good, Sign::Bad, Sign::Unreached, Sign::None][usize::from(sign)];
                    call(&mut breaker, sign, now);
                }
            }
            prop_assert!(breaker.free(at(now + 400_000)).is_ok());
        }
    }
}
