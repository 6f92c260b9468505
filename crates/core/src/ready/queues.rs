use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::time::Duration;

use crate::fair::Turns;
use crate::{FairQueue, JobKey, Lane, Priority, QueueName, Tenant};

/// The jobs of a queue that need the same upstream wait together.
pub(super) type Siding = (QueueName, Option<Lane>);

/// The ready jobs of one kind. The most urgent is next wherever it waits, but for the share of the less urgent; where jobs are
/// as urgent, the sidings take turns.
#[derive(Debug, Default)]
pub(super) struct Queues {
    /// None of them is empty.
    queues: BTreeMap<Siding, FairQueue>,
    rounds: [Round; Priority::COUNT],
    turns: Turns,
}

/// The sidings in which jobs of one priority wait.
#[derive(Debug, Default)]
struct Round {
    sidings: BTreeSet<Siding>,
    /// Which was served last.
    last: Option<Siding>,
}

impl Round {
    /// The next that is open behind the one that was served last.
    fn next(&self, open: impl Fn(&Siding) -> bool) -> Option<&Siding> {
        let Some(last) = &self.last else { return self.sidings.iter().find(|siding| open(siding)) };
        let behind = self.sidings.range((Bound::Excluded(last), Bound::Unbounded));
        behind.chain(self.sidings.range(..=last)).find(|siding| open(siding))
    }
}

impl Queues {
    /// How many jobs wait in each siding, by its queue.
    pub(super) fn depths(&self) -> impl Iterator<Item = (&QueueName, usize)> {
        self.queues.iter().map(|((name, _), queue)| (name, queue.len()))
    }

    /// The jobs of a siding, if there are any.
    pub(super) fn queue(&self, siding: &Siding) -> Option<&FairQueue> {
        self.queues.get(siding)
    }

    /// Adds a job.
    pub(super) fn push(&mut self, siding: Siding, priority: Priority, tenant: &Tenant, job: JobKey) {
        self.round(priority).sidings.insert(siding.clone());
        self.queues.entry(siding).or_default().push(priority, tenant, job);
    }

    /// Takes out a job that shall not be run; whether it was there.
    pub(super) fn remove(&mut self, siding: &Siding, priority: Priority, tenant: &Tenant, job: JobKey) -> bool {
        let found = self.queues.get_mut(siding).is_some_and(|queue| queue.remove(priority, tenant, job));
        self.forget_if_empty(siding, priority);
        found
    }

    /// Takes the job that is next of those whose siding is open.
    pub(super) fn take(&mut self, open: impl Fn(&Siding) -> bool) -> Option<(Siding, Priority, Tenant, JobKey)> {
        let rounds = &self.rounds;
        let next = |priority: Priority| rounds[usize::from(priority.number())].next(&open);
        let priority = self.turns.next(|priority| next(priority).is_some())?;
        let siding = next(priority)?.clone();
        let (tenant, job) = self.queues.get_mut(&siding)?.take(priority)?;
        self.round(priority).last = Some(siding.clone());
        self.forget_if_empty(&siding, priority);
        Some((siding, priority, tenant, job))
    }

    /// Learns what a job of a tenant took.
    pub(super) fn observe(&mut self, siding: &Siding, priority: Priority, tenant: &Tenant, took: Duration) {
        if let Some(queue) = self.queues.get_mut(siding) {
            queue.observe(priority, tenant, took);
        }
    }

    fn round(&mut self, priority: Priority) -> &mut Round {
        &mut self.rounds[usize::from(priority.number())]
    }

    fn forget_if_empty(&mut self, siding: &Siding, priority: Priority) {
        let Some(queue) = self.queues.get(siding) else { return };
        let (waits, is_empty) = (queue.waits(priority), queue.is_empty());
        if !waits {
            self.round(priority).sidings.remove(siding);
        }
        if is_empty {
            self.queues.remove(siding);
        }
    }
}
