use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use raincheck_core::{Dice, Lane, Time};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::account::Account;
use crate::headers::Left;
use crate::route::lane;
use crate::upstreams::Surroundings;
use crate::{Served, UpstreamConfig};
use state::State;

mod limited;
mod permit;
mod state;
mod status;

pub(crate) use permit::End;
pub use permit::Permit;
pub use status::{Ahead, GateStatus, Setback, Used};

/// How many calls that are passed through wait at a gate at once; more are turned away.
const WAITERS_MAX: usize = 1_024;

/// What stands between a call and its upstream: as many at once, as many in a minute, and no more while it fails. One for each
/// (upstream, key, model), because that is what providers count by. Upstreams that are one account, with the same limits, have
/// gates that count together: these share all that stands below `account`.
pub struct Gate {
    lane: Lane,
    leads_to: Served,
    surroundings: Arc<Surroundings>,
    account: Account,
    state: Arc<Mutex<State>>,
    freed: Arc<Notify>,
    /// Held by whoever is next: those that wait are let through in the order in which they came.
    turn: Arc<tokio::sync::Mutex<()>>,
    waiting: Arc<AtomicUsize>,
}

/// Which try of a call it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Try {
    /// The first.
    First,
    /// Another, after one that failed: while an upstream fails, these are few beside first tries.
    Again,
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
    /// It would be one retry too many.
    Retries,
}

/// A call is not let through now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed {
    /// Why.
    pub why: Why,
    /// When it is worth asking again.
    pub wait: Duration,
}

impl Gate {
    pub(crate) fn new(
        leads_to: Served,
        config: &UpstreamConfig,
        account: Account,
        surroundings: Arc<Surroundings>,
    ) -> Self {
        Self {
            lane: lane(&leads_to.upstream, &leads_to.model),
            leads_to,
            surroundings,
            account,
            state: Arc::new(Mutex::new(State::new(config))),
            freed: Arc::default(),
            turn: Arc::default(),
            waiting: Arc::default(),
        }
    }

    /// A gate of the same account under another name: it counts together with this one.
    pub(crate) fn shared(&self, leads_to: Served) -> Self {
        Self {
            lane: lane(&leads_to.upstream, &leads_to.model),
            leads_to,
            surroundings: Arc::clone(&self.surroundings),
            account: self.account,
            state: Arc::clone(&self.state),
            freed: Arc::clone(&self.freed),
            turn: Arc::clone(&self.turn),
            waiting: Arc::clone(&self.waiting),
        }
    }

    /// For which account it counts.
    pub(crate) fn account(&self) -> Account {
        self.account
    }

    /// The lane of jobs that need it.
    #[must_use]
    pub fn lane(&self) -> &Lane {
        &self.lane
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Time {
        self.surroundings.now()
    }

    /// How many more calls could be let through right now.
    #[must_use]
    pub fn free(&self) -> usize {
        let now = self.now();
        self.state().free(now)
    }

    /// Whether it will stay closed for a while, because its upstream fails or has said so.
    #[must_use]
    pub fn is_down(&self) -> bool {
        let now = self.now();
        self.state().is_down(now)
    }

    /// For how long its upstream, which fails as a whole, is left alone or tried with a few calls only; `None` if it does not.
    #[must_use]
    pub fn fails_for(&self) -> Option<Duration> {
        let now = self.now();
        self.state().fails_for(now)
    }

    /// Lets a call through that will cost about so many tokens.
    ///
    /// # Errors
    /// If it cannot now, and when to ask again.
    pub fn try_enter(self: &Arc<Self>, tokens: u64, of_try: Try) -> Result<Permit, Closed> {
        let now = self.now();
        let state = &mut *self.state();
        state.check(tokens, of_try, now)?;
        let (spent, spell, asks) = state.enter(tokens, of_try, now);
        let gate = Arc::clone(self);
        let began = Instant::now();
        Ok(Permit { gate, spent, spell, asks, of_try, entered: now, began, is_settled: false })
    }

    /// Whether a call could be let through now.
    fn look(&self, tokens: u64, of_try: Try) -> Result<(), Closed> {
        let now = self.now();
        self.state().check(tokens, of_try, now)
    }

    /// As [`Gate::try_enter`], but waits up to `patience` for its turn, in the order in which calls came. Nobody waits for
    /// a retry to be granted.
    ///
    /// # Errors
    /// If its turn did not come in time, or too many wait already.
    pub async fn enter(self: &Arc<Self>, tokens: u64, of_try: Try, patience: Duration) -> Result<Permit, Closed> {
        // Nothing is taken while others wait: what is given back has been counted, and the upstream never saw it.
        let first = if self.waiting.load(Ordering::SeqCst) == 0 {
            self.try_enter(tokens, of_try)
        } else {
            self.look(tokens, of_try).and(Err(Closed { why: Why::Busy, wait: Duration::from_secs(1) }))
        };
        let first = match first {
            Err(closed) if closed.why != Why::Retries => closed,
            decided => return decided,
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
                match self.try_enter(tokens, of_try) {
                    Err(closed) if closed.why != Why::Retries => last = closed,
                    decided => return decided,
                }
                let _ = tokio::time::timeout(last.wait, freed).await;
            }
        };
        tokio::time::timeout(patience, turn).await.unwrap_or(Err(last))
    }

    /// Whether another try would be granted now.
    #[must_use]
    pub fn grants_retry(&self) -> bool {
        let now = self.now();
        self.state().grants_retry(now)
    }

    pub(crate) fn dice(&self) -> Dice {
        self.surroundings.dice()
    }

    /// What the upstream said of its limits.
    pub(crate) fn observe(&self, requests: Option<Left>, tokens: Option<Left>) {
        let now = self.now();
        self.state().observe(requests, tokens, now);
    }

    /// The answer to a call has begun, and does not refuse it.
    fn begun(&self, permit: &mut Permit) {
        self.state().begun(permit);
        // What comes of it later is no news of that.
        permit.asks = false;
        self.changed();
    }

    fn leave(&self, permit: &Permit, end: &End, dice: Dice) {
        let now = self.now();
        self.state().leave(permit, end, now, dice);
        self.changed();
    }

    fn changed(&self) {
        self.freed.notify_one();
        self.surroundings.changed();
    }

    /// Whether it limits tokens.
    pub(crate) fn counts_tokens(&self) -> bool {
        self.state().counts_tokens()
    }

    /// It as it stands.
    #[must_use]
    pub fn status(&self) -> GateStatus {
        let now = self.now();
        self.state().status(self.lane.clone(), self.leads_to.clone(), now)
    }
}

/// One that waits, for as long as it does.
struct Waits<'a>(&'a AtomicUsize);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
