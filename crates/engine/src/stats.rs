use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use raincheck_core::{Kind, State};
use raincheck_store::Then;
use tokio::time::Instant;

/// Over how long rates are measured.
const WINDOW: Duration = Duration::from_secs(30);

/// What an engine has done since it started.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stats {
    /// By kind.
    pub kinds: BTreeMap<Kind, KindStats>,
    /// Attempts running now.
    pub running: usize,
    /// Jobs waiting now.
    pub waiting: usize,
    /// Jobs whose logs are followed now.
    pub followed: usize,
    /// Webhooks called.
    pub deliveries: DeliveryStats,
    /// The longest that a task had to wait for a thread of the runtime, over the last 10 seconds.
    pub runtime_lag: Duration,
}

/// What an engine has done with jobs of one kind.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KindStats {
    /// Jobs accepted.
    pub accepted: u64,
    /// Attempts started.
    pub started: u64,
    /// Attempts ended, by what became of the job.
    pub ended: BTreeMap<State, u64>,
    /// How long the ended attempts took, in all.
    pub busy: Duration,
}

/// How often webhooks were told of the end of a job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeliveryStats {
    /// Tries that the endpoint took.
    pub delivered: u64,
    /// Tries that failed and are followed by another.
    pub failed: u64,
    /// Tries that failed and were the last.
    pub given_up: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    kinds: Mutex<BTreeMap<Kind, OfKind>>,
    deliveries: Mutex<DeliveryStats>,
}

#[derive(Debug, Default)]
struct OfKind {
    stats: KindStats,
    ends: Rate,
}

impl Counters {
    fn with(&self, kind: &Kind, count: impl FnOnce(&mut OfKind)) {
        let mut kinds = self.lock();
        if !kinds.contains_key(kind) {
            kinds.insert(kind.clone(), OfKind::default());
        }
        if let Some(of_kind) = kinds.get_mut(kind) {
            count(of_kind);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Kind, OfKind>> {
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn told(&self, then: Then) {
        let mut deliveries = self.deliveries.lock().unwrap_or_else(PoisonError::into_inner);
        match then {
            Then::Delivered => deliveries.delivered += 1,
            Then::Again(_) => deliveries.failed += 1,
            Then::Later(_) => {}
            Then::GivenUp => deliveries.given_up += 1,
        }
    }

    pub(crate) fn deliveries(&self) -> DeliveryStats {
        *self.deliveries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn accepted(&self, kind: &Kind) {
        self.with(kind, |of_kind| of_kind.stats.accepted += 1);
    }

    pub(crate) fn started(&self, kind: &Kind) {
        self.with(kind, |of_kind| of_kind.stats.started += 1);
    }

    pub(crate) fn ended(&self, kind: &Kind, state: State, took: Duration) {
        self.with(kind, |of_kind| {
            *of_kind.stats.ended.entry(state).or_default() += 1;
            of_kind.stats.busy += took;
            of_kind.ends.count(now());
        });
    }

    /// How many places of a kind become free each second while so many are taken: by how long attempts have been taking, or,
    /// where that is not known because they run elsewhere, by how many have ended lately. 0 if nothing is known.
    pub(crate) fn rate(&self, kind: &Kind, taken: usize) -> f64 {
        self.lock().get_mut(kind).map_or(0.0, |of_kind| of_kind.rate(taken))
    }

    /// How long attempts of a kind have been taking; nothing if that is not known.
    pub(crate) fn took(&self, kind: &Kind) -> Duration {
        self.lock().get(kind).map_or(Duration::ZERO, |of_kind| {
            let ended: u64 = of_kind.stats.ended.values().sum();
            of_kind.stats.busy / u32::try_from(ended).unwrap_or(u32::MAX).max(1)
        })
    }

    pub(crate) fn snapshot(&self) -> BTreeMap<Kind, KindStats> {
        self.lock().iter().map(|(kind, of_kind)| (kind.clone(), of_kind.stats.clone())).collect()
    }
}

impl OfKind {
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    fn rate(&mut self, taken: usize) -> f64 {
        let ended: u64 = self.stats.ended.values().sum();
        let busy = self.stats.busy.as_secs_f64();
        if taken > 0 && busy > 0.0 { taken as f64 * ended as f64 / busy } else { self.ends.per_second(now()) }
    }
}

fn now() -> Instant {
    Instant::now()
}

/// Counts per second over the last [`WINDOW`], second by second.
#[derive(Debug, Default)]
struct Rate {
    seconds: VecDeque<(Instant, u64)>,
}

impl Rate {
    fn count(&mut self, now: Instant) {
        match self.seconds.back_mut() {
            Some((since, count)) if now.duration_since(*since) < Duration::from_secs(1) => *count += 1,
            _ => self.seconds.push_back((now, 1)),
        }
        self.forget(now);
    }

    fn forget(&mut self, now: Instant) {
        while self.seconds.front().is_some_and(|(since, _)| now.duration_since(*since) > WINDOW) {
            self.seconds.pop_front();
        }
    }

    fn per_second(&mut self, now: Instant) -> f64 {
        self.forget(now);
        let Some((first, _)) = self.seconds.front() else { return 0.0 };
        let counted: u64 = self.seconds.iter().map(|(_, count)| count).sum();
        #[expect(clippy::cast_precision_loss, reason = "a rate; nobody counts 2^52 jobs in half a minute")]
        let counted = counted as f64;
        counted / now.duration_since(*first).as_secs_f64().max(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_rate_is_that_of_the_last_half_minute() {
        let mut rate = Rate::default();
        for _ in 0..100 {
            (0..5).for_each(|_| rate.count(now()));
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert!((4.5..5.5).contains(&rate.per_second(now())), "{}", rate.per_second(now()));
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(rate.per_second(now()), 0.0);
    }
}
