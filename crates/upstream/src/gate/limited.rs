use raincheck_core::Time;
use raincheck_core::gate::{Reservation, Window};

use super::Used;
use crate::headers::Left;
use crate::spent::Spent;

/// A limit a minute: what is configured, what the upstream announces, or the lower of the two.
pub(super) struct Limited {
    configured: Option<u64>,
    window: Option<Window>,
}

impl Limited {
    pub(super) fn new(configured: Option<u64>) -> Self {
        Self { configured, window: configured.map(Window::new) }
    }

    /// Whether there is one.
    pub(super) fn is_limited(&self) -> bool {
        self.window.is_some()
    }

    pub(super) fn free(&mut self, cost: u64, now: Time) -> usize {
        self.window.as_mut().map_or(usize::MAX, |window| window.free(cost, now))
    }

    /// Whether so much may be taken now; if not, when to ask again.
    pub(super) fn check(&mut self, cost: u64, now: Time) -> Result<(), Time> {
        self.window.as_mut().map_or(Ok(()), |window| window.check(cost, now))
    }

    pub(super) fn take(&mut self, cost: u64, now: Time) -> Option<Reservation> {
        self.window.as_mut().map(|window| window.take(cost, now))
    }

    /// Sets aside so much for a call, which may turn out to cost more or less.
    pub(super) fn reserve(&mut self, cost: u64, now: Time) -> Option<Spent> {
        Some(Spent::new(self.take(cost, now)?, cost))
    }

    /// The answer to the call has come to so many tokens.
    pub(super) fn spend(&mut self, spent: &mut Spent, written: u64, now: Time) {
        if let Some(window) = &mut self.window {
            spent.take(window, written, now);
        }
    }

    /// The call has cost this much.
    pub(super) fn settle(&mut self, spent: Option<&Spent>, actual: u64, now: Time) {
        if let (Some(window), Some(spent)) = (&mut self.window, spent) {
            spent.settle(window, actual, now);
        }
    }

    /// The upstream said how the limit stands. It is kept although nobody configured it; one that is configured only becomes
    /// stricter.
    pub(super) fn observe(&mut self, left: Option<Left>, now: Time) {
        let Some(Left { limit, remaining, reset }) = left else { return };
        let lower = [self.configured, limit].into_iter().flatten().min();
        if let Some(lower) = lower {
            self.window.get_or_insert_with(|| Window::new(lower)).set_limit(lower);
        }
        if let Some(window) = &mut self.window {
            window.observe(remaining, limit, now.after(reset), now);
        }
    }

    /// How much of it is used.
    pub(super) fn used(&mut self, now: Time) -> Option<Used> {
        self.window.as_mut().map(|window| Used { used: window.used(now), limit: window.limit() })
    }
}
