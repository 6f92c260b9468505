use std::time::Duration;

use raincheck_core::gate::{Breaker, BreakerState, Concurrency, ConcurrencyLimit, RetryBudget, Sign, Spell};
use raincheck_core::{Dice, Lane, Time};

use super::limited::Limited;
use super::{Ahead, Closed, End, GateStatus, Permit, Setback, Try, Why};
use crate::headers::Left;
use crate::spent::Spent;
use crate::{Served, UpstreamConfig};

/// How long a gate is shut by a 429 that does not say; twice as long each time in a row.
const SHUT_MIN: Duration = Duration::from_secs(1);
/// And never longer than this.
const SHUT_MAX: Duration = Duration::from_secs(60);
/// When to look again where nobody knows when there is room.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What a gate knows. The rules are those of [`raincheck_core::gate`]; here they are put together.
pub(super) struct State {
    requests: Limited,
    tokens: Limited,
    concurrency: Concurrency,
    is_adaptive: bool,
    breaker: Breaker,
    budget: RetryBudget,
    /// The upstream said not to come before this.
    shut_until: Option<Time>,
    /// With this status.
    shut_by: u16,
    /// When it was last shut: another 429 of a call that was let through before says nothing new.
    shut_at: Option<Time>,
    throttles_in_a_row: u32,
    /// Somebody finds out whether the upstream takes calls again.
    is_asked: bool,
    /// What a call has been costing: a moving average.
    tokens_per_call: u64,
    setback: Option<(Setback, Time)>,
}

impl State {
    pub(super) fn new(config: &UpstreamConfig) -> Self {
        Self {
            requests: Limited::new(config.requests_per_minute),
            tokens: Limited::new(config.tokens_per_minute),
            concurrency: Concurrency::new(config.concurrency),
            is_adaptive: matches!(config.concurrency, ConcurrencyLimit::Adaptive { .. }),
            breaker: Breaker::default(),
            budget: RetryBudget::default(),
            shut_until: None,
            shut_by: 0,
            shut_at: None,
            throttles_in_a_row: 0,
            is_asked: false,
            tokens_per_call: 1,
            setback: None,
        }
    }

    fn shut(&self, now: Time) -> Option<Time> {
        self.shut_until.filter(|until| *until > now)
    }

    /// Whether the next call finds out if there is room again, after the upstream said that it was too much. It goes alone: a
    /// crowd would only be refused together.
    fn is_to_ask(&self) -> bool {
        self.throttles_in_a_row > 0
    }

    pub(super) fn counts_tokens(&self) -> bool {
        self.tokens.is_limited()
    }

    /// How many more calls could be let through.
    pub(super) fn free(&mut self, now: Time) -> usize {
        if self.shut(now).is_some() {
            return 0;
        }
        let asking = match (self.is_to_ask(), self.is_asked) {
            (false, _) => usize::MAX,
            (true, asked) => usize::from(!asked),
        };
        let requests = self.requests.free(1, now);
        let tokens = self.tokens.free(self.tokens_per_call, now);
        self.concurrency.free().min(asking).min(requests).min(tokens).min(self.breaker.free(now).unwrap_or(0))
    }

    pub(super) fn is_down(&self, now: Time) -> bool {
        self.breaker.free(now).is_err() || self.shut(now).is_some()
    }

    pub(super) fn fails_for(&self, now: Time) -> Option<Duration> {
        match self.breaker.state(now) {
            BreakerState::Closed => None,
            BreakerState::Open(until) => Some(until.since(now)),
            BreakerState::HalfOpen => Some(LOOK_AGAIN),
        }
    }

    pub(super) fn grants_retry(&mut self, now: Time) -> bool {
        self.budget.grants(now)
    }

    /// Whether a call of so many tokens may be let through.
    pub(super) fn check(&mut self, tokens: u64, of_try: Try, now: Time) -> Result<(), Closed> {
        let closed = |why, until: Time| Closed { why, wait: until.since(now).max(Duration::from_millis(1)) };
        if let Some(until) = self.shut(now) {
            return Err(closed(Why::Throttled, until));
        }
        self.breaker.free(now).map_err(|until| closed(Why::Open, until))?;
        if self.concurrency.free() == 0 || (self.is_to_ask() && self.is_asked) {
            return Err(closed(Why::Busy, now.after(LOOK_AGAIN)));
        }
        self.requests.check(1, now).map_err(|until| closed(Why::Limit, until))?;
        self.tokens.check(tokens, now).map_err(|until| closed(Why::Limit, until))?;
        if of_try == Try::Again && !self.budget.grants(now) {
            return Err(closed(Why::Retries, self.budget.again(now)));
        }
        Ok(())
    }

    /// A call is let through. Gives what is set aside for it, the breaker's spell, and whether it asks.
    pub(super) fn enter(&mut self, tokens: u64, of_try: Try, now: Time) -> (Option<Spent>, Spell, bool) {
        match of_try {
            Try::First => self.budget.first(now),
            Try::Again => self.budget.spend(now),
        }
        self.concurrency.enter();
        self.requests.take(1, now);
        let asks = self.is_to_ask();
        self.is_asked |= asks;
        (self.tokens.reserve(tokens, now), self.breaker.start(now), asks)
    }

    /// The answer to a call has come to so many tokens.
    pub(super) fn spend(&mut self, spent: &mut Spent, written: u64, now: Time) {
        self.tokens.spend(spent, written, now);
    }

    /// The answer to a call has begun, and does not refuse it. Gives whether the permit still asks.
    pub(super) fn begun(&mut self, permit: &Permit) {
        self.breaker.begun(permit.spell);
        if permit.asks {
            (self.is_asked, self.throttles_in_a_row) = (false, 0);
        }
    }

    /// A call has ended.
    pub(super) fn leave(&mut self, permit: &Permit, end: &End, now: Time, dice: Dice) {
        self.concurrency.leave(end.bearing(), now);
        self.breaker.record(end.sign, permit.spell, permit.began.elapsed(), now, dice);
        if permit.asks {
            self.is_asked = false;
        }
        if let Some(usage) = end.usage {
            self.tokens.settle(permit.spent.as_ref(), usage.total(), now);
            self.tokens_per_call = (self.tokens_per_call * 7 + usage.total()).div_ceil(8);
        }
        if end.sign == Sign::Good {
            if permit.of_try == Try::Again {
                self.budget.refund();
            }
            if self.shut_at.is_none_or(|at| permit.entered > at) {
                self.throttles_in_a_row = 0;
            }
        }
        if let Some(setback) = &end.setback {
            self.setback = Some((setback.clone(), now));
        }
        self.heed(permit, end, now);
    }

    /// Keeps calls away for as long as the upstream wishes.
    fn heed(&mut self, permit: &Permit, end: &End, now: Time) {
        let wait = match (end.is_429, end.retry_after) {
            (true, asked) => {
                if self.shut_at.is_none_or(|at| permit.entered > at) {
                    self.throttles_in_a_row += 1;
                } else if asked.is_none() {
                    return;
                }
                let doublings = self.throttles_in_a_row.saturating_sub(1).min(6);
                asked.unwrap_or(SHUT_MIN.saturating_mul(1 << doublings).min(SHUT_MAX))
            }
            (false, Some(asked)) if end.throttled => asked,
            (false, _) => return,
        };
        self.shut_at = Some(now);
        if self.shut_until.is_none_or(|until| until < now.after(wait)) {
            self.shut_until = Some(now.after(wait));
            self.shut_by = end.setback.as_ref().and_then(|setback| setback.status).unwrap_or(429);
        }
    }

    /// The upstream said how its limits stand.
    pub(super) fn observe(&mut self, requests: Option<Left>, tokens: Option<Left>, now: Time) {
        self.requests.observe(requests, now);
        self.tokens.observe(tokens, now);
    }

    /// How it stands.
    pub(super) fn status(&mut self, lane: Lane, leads_to: Served, now: Time) -> GateStatus {
        let shut_for = self.shut(now).map(|until| until.since(now));
        GateStatus {
            upstream: leads_to.upstream,
            model: leads_to.model,
            lane,
            under_way: self.concurrency.under_way(),
            limit: self.concurrency.limit(),
            is_adaptive: self.is_adaptive,
            requests: self.requests.used(now),
            tokens: self.tokens.used(now),
            breaker: match self.breaker.state(now) {
                BreakerState::Closed => Ahead::Closed,
                BreakerState::HalfOpen => Ahead::HalfOpen,
                BreakerState::Open(until) => Ahead::Open(until.since(now)),
            },
            shut_for,
            shut_by: shut_for.map(|_| self.shut_by),
            setback: self.setback.as_ref().map(|(setback, at)| (setback.clone(), now.since(*at))),
        }
    }
}
