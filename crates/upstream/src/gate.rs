use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use raincheck_core::gate::{Breaker, BreakerState, Concurrency, Reservation, RetryBudget, Sign, Window};
use raincheck_core::{Dice, Lane, Time};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::headers::Left;
use crate::upstreams::Surroundings;
use crate::{UpstreamConfig, Usage};

/// How many calls that are passed through wait at a gate at once; more are turned away.
const WAITERS_MAX: usize = 1_024;
/// How long a gate is shut by a 429 that does not say; twice as long each time in a row.
const SHUT_MIN: Duration = Duration::from_secs(1);
/// And never longer than this.
const SHUT_MAX: Duration = Duration::from_secs(60);

/// What stands between a call and its upstream: as many at once, as many in a minute, and no more while it fails. One for each
/// (upstream, model), because that is what providers count by.
pub struct Gate {
    lane: Lane,
    surroundings: Arc<Surroundings>,
    state: Mutex<State>,
    freed: Notify,
    /// Held by whoever is next: those that wait are let through in the order in which they came.
    turn: tokio::sync::Mutex<()>,
    waiting: AtomicUsize,
}

struct State {
    requests: Option<Window>,
    tokens: Option<Window>,
    concurrency: Concurrency,
    breaker: Breaker,
    budget: RetryBudget,
    /// The upstream said not to come before this.
    shut_until: Option<Time>,
    throttles_in_a_row: u32,
    /// What a call has been costing: a moving average.
    tokens_per_call: u64,
}

/// Why a call is not let through now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// As many are under way as may be.
    Busy,
    /// The limit of requests or tokens of this minute is reached.
    Limit,
    /// The upstream said that it was too much (429).
    Throttled,
    /// The upstream fails: its breaker is open.
    Open,
}

/// A call is not let through now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed {
    /// Why.
    pub why: Why,
    /// When it is worth asking again.
    pub wait: Duration,
}

/// A gate as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GateStatus {
    /// The lane of jobs that need it.
    pub lane: Lane,
    /// Calls under way.
    pub under_way: usize,
    /// Calls that may be under way.
    pub limit: usize,
    /// The breaker.
    pub breaker: BreakerState,
    /// For how long it is shut because the upstream said so.
    pub shut_for: Option<Duration>,
}

impl Gate {
    pub(crate) fn new(lane: Lane, config: &UpstreamConfig, surroundings: Arc<Surroundings>) -> Self {
        let state = State {
            requests: config.requests_per_minute.map(Window::new),
            tokens: config.tokens_per_minute.map(Window::new),
            concurrency: Concurrency::new(config.concurrency),
            breaker: Breaker::default(),
            budget: RetryBudget::default(),
            shut_until: None,
            throttles_in_a_row: 0,
            tokens_per_call: 1,
        };
        Self {
            lane,
            surroundings,
            state: Mutex::new(state),
            freed: Notify::new(),
            turn: tokio::sync::Mutex::default(),
            waiting: AtomicUsize::new(0),
        }
    }

    /// The lane of jobs that need it.
    #[must_use]
    pub fn lane(&self) -> &Lane {
        &self.lane
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many more calls could be let through right now.
    #[must_use]
    pub fn free(&self) -> usize {
        let now = self.surroundings.now();
        let state = &mut *self.state();
        if state.shut_until.is_some_and(|until| until > now) {
            return 0;
        }
        let cost = state.tokens_per_call;
        let requests = state.requests.as_mut().map_or(usize::MAX, |window| window.free(1, now));
        let tokens = state.tokens.as_mut().map_or(usize::MAX, |window| window.free(cost, now));
        state.concurrency.free().min(requests).min(tokens).min(state.breaker.free(now).unwrap_or(0))
    }

    /// Whether it will stay closed for a while, because its upstream fails or has said so.
    #[must_use]
    pub fn is_down(&self) -> bool {
        let now = self.surroundings.now();
        let state = self.state();
        state.breaker.free(now).is_err() || state.shut_until.is_some_and(|until| until > now)
    }

    /// Lets a call through that will cost about so many tokens.
    ///
    /// # Errors
    /// If it cannot now, and when to ask again.
    pub fn try_enter(self: &Arc<Self>, tokens: u64) -> Result<Permit, Closed> {
        let now = self.surroundings.now();
        let state = &mut *self.state();
        let closed = |why, until: Time| Closed { why, wait: until.since(now).max(Duration::from_millis(1)) };
        if let Some(until) = state.shut_until.filter(|until| *until > now) {
            return Err(closed(Why::Throttled, until));
        }
        state.breaker.free(now).map_err(|until| closed(Why::Open, until))?;
        if state.concurrency.free() == 0 {
            return Err(closed(Why::Busy, now.after(Duration::from_secs(1))));
        }
        let limit = |until| closed(Why::Limit, until);
        state.requests.as_mut().map_or(Ok(()), |window| window.check(1, now)).map_err(limit)?;
        state.tokens.as_mut().map_or(Ok(()), |window| window.check(tokens, now)).map_err(limit)?;
        state.concurrency.enter();
        let is_probe = state.breaker.start(now);
        if let Some(window) = &mut state.requests {
            window.take(1, now);
        }
        let reserved = state.tokens.as_mut().map(|window| window.take(tokens, now));
        Ok(Permit { gate: Arc::clone(self), reserved, is_probe, began: Instant::now(), is_settled: false })
    }

    /// As [`Gate::try_enter`], but waits up to `patience` for its turn, in the order in which calls came.
    ///
    /// # Errors
    /// If its turn did not come in time, or too many wait already.
    pub async fn enter(self: &Arc<Self>, tokens: u64, patience: Duration) -> Result<Permit, Closed> {
        let first = match self.try_enter(tokens) {
            Ok(permit) if self.waiting.load(Ordering::SeqCst) == 0 => return Ok(permit),
            Ok(permit) => {
                permit.give_back();
                Closed { why: Why::Busy, wait: Duration::from_secs(1) }
            }
            Err(closed) => closed,
        };
        if self.waiting.fetch_add(1, Ordering::SeqCst) >= WAITERS_MAX {
            self.waiting.fetch_sub(1, Ordering::SeqCst);
            return Err(first);
        }
        let _waits = Waits(&self.waiting);
        let mut last = first;
        let turn = async {
            let _turn = self.turn.lock().await;
            loop {
                let freed = self.freed.notified();
                match self.try_enter(tokens) {
                    Ok(permit) => return permit,
                    Err(closed) => last = closed,
                }
                let _ = tokio::time::timeout(last.wait, freed).await;
            }
        };
        tokio::time::timeout(patience, turn).await.map_err(|_| last)
    }

    /// Counts a first try; [`Gate::may_retry`] is measured by these.
    pub fn count_first_try(&self) {
        let now = self.surroundings.now();
        self.state().budget.first(now);
    }

    /// Whether another try may be made now. While an upstream fails, retries are few beside first tries.
    #[must_use]
    pub fn may_retry(&self, after_timeout: bool) -> bool {
        let now = self.surroundings.now();
        self.state().budget.retry(after_timeout, now)
    }

    pub(crate) fn dice(&self) -> Dice {
        self.surroundings.dice()
    }

    /// What the upstream said is left of its limits.
    pub(crate) fn observe(&self, requests: Option<Left>, tokens: Option<Left>) {
        let now = self.surroundings.now();
        let state = &mut *self.state();
        for (window, left) in [(&mut state.requests, requests), (&mut state.tokens, tokens)] {
            if let (Some(window), Some(Left { remaining, reset })) = (window.as_mut(), left) {
                window.observe(remaining, now.after(reset), now);
            }
        }
    }

    /// It as it stands.
    #[must_use]
    pub fn status(&self) -> GateStatus {
        let now = self.surroundings.now();
        let state = self.state();
        GateStatus {
            lane: self.lane.clone(),
            under_way: state.concurrency.under_way(),
            limit: state.concurrency.limit(),
            breaker: state.breaker.state(now),
            shut_for: state.shut_until.filter(|until| *until > now).map(|until| until.since(now)),
        }
    }

    fn leave(&self, permit: &Permit, end: &End, dice: Dice) {
        let now = self.surroundings.now();
        {
            let state = &mut *self.state();
            state.concurrency.leave(end.throttled, end.first_byte, now);
            state.breaker.record(end.sign, permit.is_probe, permit.began.elapsed(), now, dice);
            if let (Some(window), Some(reserved), Some(usage)) = (&mut state.tokens, permit.reserved, end.usage) {
                window.settle(reserved, usage.total());
                state.tokens_per_call = (state.tokens_per_call * 7 + usage.total()).div_ceil(8);
            }
            if end.is_429 {
                let asked = SHUT_MIN.saturating_mul(1 << state.throttles_in_a_row.min(6)).min(SHUT_MAX);
                state.throttles_in_a_row += 1;
                state.shut_until = state.shut_until.max(Some(now.after(end.retry_after.unwrap_or(asked))));
            } else if let (true, Some(wait)) = (end.throttled, end.retry_after) {
                state.shut_until = state.shut_until.max(Some(now.after(wait)));
            } else if end.sign == Sign::Good {
                state.throttles_in_a_row = 0;
            }
        }
        self.freed.notify_one();
        self.surroundings.changed();
    }
}

/// One that waits, for as long as it does.
struct Waits<'a>(&'a AtomicUsize);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// How a call ended, as its gate wants to know it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct End {
    pub(crate) sign: Sign,
    pub(crate) throttled: bool,
    /// The upstream's limit is reached: nobody should come before it is reset.
    pub(crate) is_429: bool,
    pub(crate) retry_after: Option<Duration>,
    /// How long the first byte of a good answer took.
    pub(crate) first_byte: Option<Duration>,
    pub(crate) usage: Option<Usage>,
}

impl End {
    /// It says nothing of the upstream.
    pub(crate) const GONE: Self =
        Self { sign: Sign::None, throttled: false, is_429: false, retry_after: None, first_byte: None, usage: None };
}

/// The right to make one call. Given back when it is dropped.
pub struct Permit {
    gate: Arc<Gate>,
    reserved: Option<Reservation>,
    is_probe: bool,
    began: Instant,
    is_settled: bool,
}

impl Permit {
    /// The call has ended.
    pub(crate) fn settle(mut self, end: &End) {
        self.is_settled = true;
        self.gate.leave(&self, end, self.gate.dice());
    }

    /// What it was for has ended well, in more than one call: see [`Route::send_aside`](crate::Route::send_aside).
    pub fn end(self, usage: Option<Usage>) {
        let end = End { sign: Sign::Good, first_byte: None, usage, ..End::GONE };
        self.settle(&end);
    }

    /// It was not used after all.
    fn give_back(self) {
        if let (Some(window), Some(reserved)) = (&mut self.gate.state().tokens, self.reserved) {
            window.settle(reserved, 0);
        }
        drop(self);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if !self.is_settled {
            self.gate.leave(self, &End::GONE, self.gate.dice());
        }
    }
}
