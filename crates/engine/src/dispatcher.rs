use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use raincheck_core::{Kind, Time, Want};
use raincheck_store::{ClaimRequest, Claimed, Claims};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::approach::Approaches;
use crate::attempt;
use crate::engine::Parts;
use crate::{Handler, Registry};

/// How many jobs are claimed in one call.
const CLAIM_MAX: usize = 256;
/// How long to wait for a wake-up before looking all the same.
const LOOK_AFTER: Duration = Duration::from_secs(1);

/// The places for attempts: some for each kind, and so many for all.
pub(crate) struct Places {
    all: Arc<Semaphore>,
    by_kind: BTreeMap<Kind, OfKind>,
    approaches: Arc<Approaches>,
}

struct OfKind {
    handler: Arc<dyn Handler>,
    places: Arc<Semaphore>,
    /// How many places there are, free or taken.
    concurrency: usize,
}

impl Places {
    pub(crate) fn new(registry: &Registry, all: usize) -> Self {
        let place = |about: &crate::About| {
            let handler = Arc::clone(registry.get(&about.kind)?.1?);
            let (concurrency, places) = (about.concurrency, Arc::new(Semaphore::new(about.concurrency)));
            Some((about.kind.clone(), OfKind { handler, places, concurrency }))
        };
        let by_kind = registry.kinds().filter_map(place).collect();
        Self { all: Arc::new(Semaphore::new(all)), by_kind, approaches: Arc::default() }
    }

    /// How many jobs of each kind could start now, and of all together. Never more than there are places, so that no job is
    /// leased that cannot be started. Which kind comes first changes with each `turn`, so that none is shut out by others.
    fn wants(&self, turn: usize) -> (Vec<Want>, usize) {
        let all = self.all.available_permits().min(CLAIM_MAX);
        let mut wants = Vec::new();
        let from = turn % self.by_kind.len().max(1);
        for (kind, of_kind) in self.by_kind.iter().skip(from).chain(self.by_kind.iter().take(from)) {
            let max = of_kind.places.available_permits().min(all);
            if max > 0 {
                let openings = self.approaches.leave_of(of_kind.handler.openings());
                wants.push(Want { kind: kind.clone(), max, openings });
            }
        }
        (wants, all)
    }

    /// How many more jobs of a kind could start now.
    pub(crate) fn free(&self, kind: &Kind) -> usize {
        let own = self.by_kind.get(kind).map_or(0, |of_kind| of_kind.places.available_permits());
        own.min(self.all.available_permits())
    }

    /// How many jobs of a kind run here.
    pub(crate) fn taken(&self, kind: &Kind) -> usize {
        self.by_kind.get(kind).map_or(0, |of_kind| of_kind.concurrency - of_kind.places.available_permits())
    }

    fn take(&self, kind: &Kind) -> Option<(Arc<dyn Handler>, [OwnedSemaphorePermit; 2])> {
        let OfKind { handler, places, .. } = self.by_kind.get(kind)?;
        // Only the dispatcher takes places, so those it counted are still free.
        let own = Arc::clone(places).try_acquire_owned().ok()?;
        let all = Arc::clone(&self.all).try_acquire_owned().ok()?;
        Some((Arc::clone(handler), [own, all]))
    }
}

/// Claims jobs as places become free and starts them, until the engine drains.
pub(crate) async fn run(parts: Arc<Parts>) {
    let mut turn = 0_usize;
    while !parts.is_draining() {
        turn = turn.wrapping_add(1);
        let (wants, max) = parts.places.wants(turn);
        // Looking is free, and a claim is not: most wake-ups find that the last claim took everything there was.
        let nothing = wants.is_empty() || parts.store.waiting() == 0;
        let (claimed, next_due) = if nothing { (0, None) } else { claim(&parts, wants, max).await };
        if claimed == 0 {
            let wait = next_due.map_or(LOOK_AFTER, |due| due.since(parts.clock.now()).min(LOOK_AFTER));
            let _ = tokio::time::timeout(wait, parts.hub.dispatcher_woken()).await;
        }
    }
}

async fn claim(parts: &Arc<Parts>, wants: Vec<Want>, max: usize) -> (usize, Option<Time>) {
    let request = ClaimRequest { worker: parts.settings.worker.clone(), wants, max, lease: parts.settings.lease };
    match parts.store.claim(request, parts.clock.now()).await {
        Ok(Claims { jobs, next_due }) => {
            let count = jobs.len();
            jobs.into_iter().for_each(|job| start(parts, job));
            (count, next_due)
        }
        Err(error) => {
            tracing::warn!(%error, "failed to claim jobs; trying again");
            (0, None)
        }
    }
}

fn start(parts: &Arc<Parts>, claimed: Claimed) {
    let Some((handler, permits)) = parts.places.take(&claimed.job.spec.kind) else {
        // Cannot happen as long as stores give no more than is wanted; if it does, the lease lapses and nothing is lost.
        tracing::error!(job = %claimed.job.id, "the store gave a job that was not asked for");
        return;
    };
    parts.stats.started(&claimed.job.spec.kind);
    parts.tell(&claimed.job);
    let approach = claimed.job.spec.lane.as_ref().map(|lane| parts.places.approaches.begin(lane));
    drop(parts.tasks.attempts.spawn(attempt::run(Arc::clone(parts), handler, claimed, permits, approach)));
}
