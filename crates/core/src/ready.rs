use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::{FairQueue, JobKey, Kind, Priority, QueueName, Spec, Tenant, Time};

/// Where a job waits: everything that decides when it is next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The queue it waits in.
    pub queue: QueueName,
    /// Its kind.
    pub kind: Kind,
    /// Its priority within the queue.
    pub priority: Priority,
    /// Whose it is.
    pub tenant: Tenant,
}

impl From<&Spec> for Line {
    fn from(spec: &Spec) -> Self {
        Self {
            queue: spec.queue.clone(),
            kind: spec.kind.clone(),
            priority: spec.priority,
            tenant: spec.tenant.clone(),
        }
    }
}

/// How many more jobs of a kind a worker can run right now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Want {
    /// The kind.
    pub kind: Kind,
    /// How many.
    pub max: usize,
}

/// How far a waiting job is from being claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// How many jobs are likely to be taken before it.
    pub ahead: usize,
    /// How many jobs wait in the same queue for the same handler.
    pub waiting: usize,
}

/// All jobs that wait, in memory: those that are ready, and those whose time has not come. A store rebuilds it at start,
/// so that finding the next job never has to search a table. 8 bytes for a ready job, about 100 for a timed one.
#[derive(Debug, Default)]
pub struct ReadySet {
    kinds: BTreeMap<Kind, Queues>,
    timed: BTreeMap<(Time, JobKey), Line>,
    paused: BTreeSet<QueueName>,
    per_tenant: BTreeMap<Tenant, usize>,
    len: usize,
}

#[derive(Debug, Default)]
struct Queues {
    queues: BTreeMap<QueueName, FairQueue>,
    /// Which queue was served last, so that queues of a kind take turns.
    last: Option<QueueName>,
}

impl ReadySet {
    /// How many jobs wait, ready or not.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no job waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many jobs of a tenant wait.
    #[must_use]
    pub fn waiting(&self, tenant: &Tenant) -> usize {
        self.per_tenant.get(tenant).copied().unwrap_or(0)
    }

    /// How many ready jobs wait in each queue, by kind.
    pub fn depths(&self) -> impl Iterator<Item = (&QueueName, &Kind, usize)> {
        self.kinds
            .iter()
            .flat_map(|(kind, of_kind)| of_kind.queues.iter().map(move |(name, queue)| (name, kind, queue.len())))
    }

    /// Adds a job that may run at `run_at`.
    pub fn insert(&mut self, job: JobKey, line: &Line, run_at: Time, now: Time) {
        if run_at > now {
            if self.timed.insert((run_at, job), line.clone()).is_some() {
                return;
            }
        } else {
            self.push_ready(job, line);
        }
        self.len += 1;
        match self.per_tenant.get_mut(&line.tenant) {
            Some(count) => *count += 1,
            None => drop(self.per_tenant.insert(line.tenant.clone(), 1)),
        }
    }

    /// Takes out a job that shall not be run; whether it was there.
    pub fn remove(&mut self, job: JobKey, line: &Line, run_at: Time) -> bool {
        let timed = self.timed.remove(&(run_at, job)).is_some();
        let queue = self.kinds.get_mut(&line.kind).and_then(|of_kind| of_kind.queues.get_mut(&line.queue));
        let found = timed || queue.is_some_and(|queue| queue.remove(line.priority, &line.tenant, job));
        if found {
            self.left(&line.tenant);
        }
        found
    }

    /// Makes ready what is due at `now`; tells when the next job will be.
    pub fn advance(&mut self, now: Time) -> Option<Time> {
        while let Some(entry) = self.timed.first_entry() {
            if entry.key().0 > now {
                return Some(entry.key().0);
            }
            let ((_, job), line) = entry.remove_entry();
            self.push_ready(job, &line);
        }
        None
    }

    /// Takes the job of this kind that is next, over all queues that are not paused.
    pub fn take(&mut self, kind: &Kind) -> Option<(JobKey, Line)> {
        let of_kind = self.kinds.get_mut(kind)?;
        let open = |(name, queue): &(&QueueName, &mut FairQueue)| !queue.is_empty() && !self.paused.contains(*name);
        let after = of_kind.last.take();
        let later = |name: &QueueName| after.as_ref().is_none_or(|last| name > last);
        let mut first = None;
        let mut next = None;
        for (name, queue) in of_kind.queues.iter_mut().filter(open) {
            if later(name) {
                next = Some((name, queue));
                break;
            }
            first.get_or_insert((name, queue));
        }
        let (name, queue) = next.or(first)?;
        let (priority, tenant, job) = queue.take()?;
        of_kind.last = Some(name.clone());
        let line = Line { queue: name.clone(), kind: kind.clone(), priority, tenant };
        self.left(&line.tenant);
        Some((job, line))
    }

    /// Learns what a job of this line took.
    pub fn observe(&mut self, line: &Line, took: Duration) {
        if let Some(queue) = self.kinds.get_mut(&line.kind).and_then(|of_kind| of_kind.queues.get_mut(&line.queue)) {
            queue.observe(line.priority, &line.tenant, took);
        }
    }

    /// How far a ready job is from being claimed; `None` if it is not ready.
    #[must_use]
    pub fn place(&self, job: JobKey, line: &Line) -> Option<Place> {
        let queue = self.kinds.get(&line.kind)?.queues.get(&line.queue)?;
        Some(Place { ahead: queue.ahead(line.priority, &line.tenant, job)?, waiting: queue.len() })
    }

    /// Stops or resumes claiming from a queue.
    pub fn set_paused(&mut self, queue: &QueueName, paused: bool) {
        if paused {
            self.paused.insert(queue.clone());
        } else {
            self.paused.remove(queue);
        }
    }

    /// The queues that are paused.
    pub fn paused(&self) -> impl Iterator<Item = &QueueName> {
        self.paused.iter()
    }

    fn push_ready(&mut self, job: JobKey, line: &Line) {
        if !self.kinds.contains_key(&line.kind) {
            self.kinds.insert(line.kind.clone(), Queues::default());
        }
        let of_kind = self.kinds.get_mut(&line.kind).expect("the kind was just made");
        if !of_kind.queues.contains_key(&line.queue) {
            of_kind.queues.insert(line.queue.clone(), FairQueue::default());
        }
        let queue = of_kind.queues.get_mut(&line.queue).expect("the queue was just made");
        queue.push(line.priority, &line.tenant, job);
    }

    fn left(&mut self, tenant: &Tenant) {
        self.len -= 1;
        if let Some(count) = self.per_tenant.get_mut(tenant) {
            *count -= 1;
            if *count == 0 {
                self.per_tenant.remove(tenant);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Minter;

    fn line(queue: &str) -> Line {
        Line {
            queue: queue.parse().unwrap(),
            kind: "echo".parse().unwrap(),
            priority: Priority::default(),
            tenant: Tenant::default(),
        }
    }

    fn at(millis: i64) -> Time {
        Time::from_millis(millis)
    }

    #[test]
    fn a_job_is_ready_when_its_time_has_come() {
        let mut ready = ReadySet::default();
        let job = Minter::after(None).mint(at(0), 0).key();
        ready.insert(job, &line("a"), at(50), at(0));
        assert_eq!(ready.advance(at(49)), Some(at(50)));
        assert_eq!(ready.take(&line("a").kind), None);
        assert_eq!(ready.advance(at(50)), None);
        assert_eq!(ready.take(&line("a").kind), Some((job, line("a"))));
        assert!(ready.is_empty());
        assert_eq!(ready.waiting(&Tenant::default()), 0);
    }

    #[test]
    fn queues_of_a_kind_take_turns_and_paused_ones_wait() {
        let mut ready = ReadySet::default();
        let mut minter = Minter::after(None);
        for queue in ["a", "a", "a", "b", "b", "c"] {
            ready.insert(minter.mint(at(0), 0).key(), &line(queue), at(0), at(0));
        }
        ready.set_paused(&"c".parse().unwrap(), true);
        let kind = line("a").kind;
        let mut take = || ready.take(&kind).map(|(_, line)| line.queue.to_string());
        let order: Vec<String> = std::iter::from_fn(&mut take).collect();
        assert_eq!(order, ["a", "b", "a", "b", "a"]);
        ready.set_paused(&"c".parse().unwrap(), false);
        assert_eq!(ready.take(&kind).map(|(_, line)| line.queue.to_string()), Some("c".into()));
    }

    #[test]
    fn a_removed_job_is_not_taken() {
        let mut ready = ReadySet::default();
        let mut minter = Minter::after(None);
        let (soon, later) = (minter.mint(at(0), 0).key(), minter.mint(at(0), 0).key());
        ready.insert(soon, &line("a"), at(0), at(0));
        ready.insert(later, &line("a"), at(9), at(0));
        assert_eq!(ready.place(soon, &line("a")), Some(Place { ahead: 0, waiting: 1 }));
        assert!(ready.remove(soon, &line("a"), at(0)));
        assert!(ready.remove(later, &line("a"), at(9)));
        assert!(!ready.remove(later, &line("a"), at(9)));
        assert!(ready.is_empty());
    }
}
