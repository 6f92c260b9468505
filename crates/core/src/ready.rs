mod chains;
mod queues;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use self::chains::{Chains, Link, Stands};
use self::queues::{Queues, Siding};
use crate::{ConcurrencyKey, FairQueue, JobKey, Kind, Lane, Priority, QueueName, Spec, Tenant, Time};

/// Where a job waits: everything that decides when it is next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The queue it waits in.
    pub queue: QueueName,
    /// Its kind.
    pub kind: Kind,
    /// The upstream that it needs.
    pub lane: Option<Lane>,
    /// Its priority among those of its kind.
    pub priority: Priority,
    /// Whose it is.
    pub tenant: Tenant,
    /// What it may not share its time with.
    pub concurrency_key: Option<ConcurrencyKey>,
}

impl From<&Spec> for Line {
    fn from(spec: &Spec) -> Self {
        Self {
            queue: spec.queue.clone(),
            kind: spec.kind.clone(),
            lane: spec.lane.clone(),
            priority: spec.priority,
            tenant: spec.tenant.clone(),
            concurrency_key: spec.concurrency_key.clone(),
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
    /// How many of each lane.
    pub openings: Openings,
}

/// How many jobs of each lane can be run right now, so that none is leased which its upstream would not take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Openings {
    /// The lanes of which something is known.
    pub known: BTreeMap<Lane, usize>,
    /// Each of the others.
    pub other: usize,
}

impl Default for Openings {
    /// All lanes are open.
    fn default() -> Self {
        Self { known: BTreeMap::new(), other: usize::MAX }
    }
}

impl Openings {
    /// How many jobs of the lane can be run.
    #[must_use]
    pub fn of(&self, lane: &Lane) -> usize {
        self.known.get(lane).copied().unwrap_or(self.other)
    }

    /// No more than so many jobs of the lane can be run after all.
    pub fn limit(&mut self, lane: &Lane, most: usize) {
        let left = self.of(lane).min(most);
        self.known.insert(lane.clone(), left);
    }
}

/// How far a waiting job is from being claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// How many jobs are likely to be taken before it.
    pub ahead: usize,
    /// How many jobs wait in the same queue for the same handler.
    pub waiting: usize,
    /// How many jobs with the same concurrency key have to end before it, one after the other; some of them may be running.
    /// They are among those ahead. Not counted beyond 10,000.
    pub behind: usize,
}

/// All jobs that wait, in memory: those that are ready, and those whose time has not come. A store rebuilds it at start,
/// so that finding the next job never has to search a table. 8 bytes for a ready job, about 100 for a timed one, and about
/// 300 more for one with a concurrency key, which is known here until it has ended.
#[derive(Debug, Default)]
pub struct ReadySet {
    kinds: BTreeMap<Kind, Queues>,
    timed: BTreeMap<(Time, JobKey), Line>,
    paused: BTreeSet<QueueName>,
    /// The jobs with a concurrency key: of each, only the first stands in `kinds` or `timed`.
    chains: Chains,
    /// What the claim under way has left of the lanes that it took jobs of: it wants several kinds, and those that need the
    /// same upstream share its opening.
    left: BTreeMap<Lane, usize>,
    per_tenant: BTreeMap<Tenant, usize>,
    len: usize,
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
        self.kinds.iter().flat_map(|(kind, of_kind)| of_kind.depths().map(move |(name, depth)| (name, kind, depth)))
    }

    /// Adds a job that may run at `run_at`. One with a concurrency key waits for its turn as well: until those with the same
    /// key that were accepted before it have ended.
    pub fn insert(&mut self, job: JobKey, line: &Line, run_at: Time, now: Time) {
        if line.concurrency_key.is_some() {
            let Some(stands) = self.chains.enter(job, line, Some(run_at)) else { return };
            if self.comes_first(stands) {
                self.push(job, line, run_at, now);
            }
        } else if !self.push(job, line, run_at, now) {
            return;
        }
        self.len += 1;
        match self.per_tenant.get_mut(&line.tenant) {
            Some(count) => *count += 1,
            None => drop(self.per_tenant.insert(line.tenant.clone(), 1)),
        }
    }

    /// Takes out a job that shall not be run; whether it was there. Its concurrency key is still held by it, until
    /// [`ReadySet::end`].
    pub fn remove(&mut self, job: JobKey, line: &Line, run_at: Time) -> bool {
        let mut found = self.pull(job, line, run_at);
        if line.concurrency_key.is_some() {
            found = self.chains.stop_waiting(job, line);
        }
        if found {
            self.left(&line.tenant);
        }
        found
    }

    /// Learns that a job runs which was not taken here: it holds its concurrency key, if it has one.
    pub fn hold(&mut self, job: JobKey, line: &Line) {
        if let Some(stands) = self.chains.enter(job, line, None) {
            self.comes_first(stands);
        }
    }

    /// Learns that a job, which must not wait here any more, has ended: if it held a concurrency key, the next with that key
    /// has its turn.
    pub fn end(&mut self, job: JobKey, line: &Line, now: Time) {
        if line.concurrency_key.is_none() {
            return;
        }
        if let Some(Link { job, line, run_at: Some(run_at) }) = self.chains.leave(job, line) {
            self.push(job, &line, run_at, now);
        }
    }

    /// Makes ready what is due at `now`; tells when the next job will be. Begins a claim: the jobs that are taken until the next
    /// call share the openings of their lanes.
    pub fn advance(&mut self, now: Time) -> Option<Time> {
        self.left.clear();
        while let Some(entry) = self.timed.first_entry() {
            if entry.key().0 > now {
                return Some(entry.key().0);
            }
            let ((_, job), line) = entry.remove_entry();
            self.push_ready(job, &line);
        }
        None
    }

    /// Takes the job of this kind that is next, over all queues that are not paused and all lanes that are open: by priority,
    /// and where that is the same queues and lanes take turns.
    pub fn take(&mut self, kind: &Kind, openings: &mut Openings) -> Option<(JobKey, Line)> {
        let of_kind = self.kinds.get_mut(kind)?;
        let left = |lane: &Lane| self.left.get(lane).copied().unwrap_or(usize::MAX).min(openings.of(lane));
        let open =
            |(name, lane): &Siding| !self.paused.contains(name) && lane.as_ref().is_none_or(|lane| left(lane) > 0);
        let ((queue, lane), priority, tenant, job) = of_kind.take(open)?;
        if let Some(lane) = &lane {
            let left = left(lane).saturating_sub(1);
            openings.limit(lane, left);
            self.left.insert(lane.clone(), left);
        }
        let concurrency_key = self.chains.unstand(job);
        let line = Line { queue, kind: kind.clone(), lane, priority, tenant, concurrency_key };
        self.chains.stop_waiting(job, &line);
        self.left(&line.tenant);
        Some((job, line))
    }

    /// Learns what a job of this line took.
    pub fn observe(&mut self, line: &Line, took: Duration) {
        if let Some(of_kind) = self.kinds.get_mut(&line.kind) {
            of_kind.observe(&siding(line), line.priority, &line.tenant, took);
        }
    }

    /// How far a ready job is from being claimed; `None` if it is not ready. One that waits for others with its concurrency key
    /// counts as ready.
    #[must_use]
    pub fn place(&self, job: JobKey, line: &Line) -> Option<Place> {
        let Some((behind, first)) = self.chains.before(job, line) else {
            let queue = self.kinds.get(&line.kind)?.queue(&siding(line))?;
            let ahead = queue.ahead(line.priority, &line.tenant, job)?;
            return Some(Place { ahead, waiting: queue.len(), behind: 0 });
        };
        let of_first = self.kinds.get(&first.line.kind).and_then(|of_kind| of_kind.queue(&siding(&first.line)));
        let before = of_first.and_then(|queue| queue.ahead(first.line.priority, &first.line.tenant, first.job));
        let ahead = before.unwrap_or(0) + behind;
        let queue = self.kinds.get(&line.kind).and_then(|of_kind| of_kind.queue(&siding(line)));
        Some(Place { ahead, waiting: queue.map_or(0, FairQueue::len).max(ahead + 1), behind })
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

    /// Whether a job of a chain is the first of it. Another that was so before goes out of the queue.
    fn comes_first(&mut self, stands: Stands) -> bool {
        match stands {
            Stands::Behind => false,
            Stands::First(overtaken) => {
                if let Some(Link { job, line, run_at: Some(run_at) }) = overtaken {
                    self.pull(job, &line, run_at);
                }
                true
            }
        }
    }

    /// Puts a job where it is taken from; `false` if it is there already.
    fn push(&mut self, job: JobKey, line: &Line, run_at: Time, now: Time) -> bool {
        if run_at > now {
            return self.timed.insert((run_at, job), line.clone()).is_none();
        }
        self.push_ready(job, line);
        true
    }

    /// Takes a job from there; whether it was there.
    fn pull(&mut self, job: JobKey, line: &Line, run_at: Time) -> bool {
        let timed = self.timed.remove(&(run_at, job)).is_some();
        if line.concurrency_key.is_some() {
            self.chains.unstand(job);
        }
        let of_kind = self.kinds.get_mut(&line.kind);
        timed || of_kind.is_some_and(|of_kind| of_kind.remove(&siding(line), line.priority, &line.tenant, job))
    }

    fn push_ready(&mut self, job: JobKey, line: &Line) {
        if !self.kinds.contains_key(&line.kind) {
            self.kinds.insert(line.kind.clone(), Queues::default());
        }
        let of_kind = self.kinds.get_mut(&line.kind).expect("the kind was just made");
        of_kind.push(siding(line), line.priority, &line.tenant, job);
        self.chains.stand(job, line);
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

fn siding(line: &Line) -> Siding {
    (line.queue.clone(), line.lane.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Minter;

    mod chained;

    fn line(queue: &str) -> Line {
        Line {
            queue: queue.parse().unwrap(),
            kind: "echo".parse().unwrap(),
            lane: None,
            priority: Priority::default(),
            tenant: Tenant::default(),
            concurrency_key: None,
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
        assert_eq!(ready.take(&line("a").kind, &mut Openings::default()), None);
        assert_eq!(ready.advance(at(50)), None);
        assert_eq!(ready.take(&line("a").kind, &mut Openings::default()), Some((job, line("a"))));
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
        let mut take = || ready.take(&kind, &mut Openings::default()).map(|(_, line)| line.queue.to_string());
        let order: Vec<String> = std::iter::from_fn(&mut take).collect();
        assert_eq!(order, ["a", "b", "a", "b", "a"]);
        ready.set_paused(&"c".parse().unwrap(), false);
        let next = ready.take(&kind, &mut Openings::default());
        assert_eq!(next.map(|(_, line)| line.queue.to_string()), Some("c".into()));
    }

    #[test]
    fn urgency_counts_across_queues_and_lanes_and_those_that_are_as_urgent_take_turns() {
        let mut ready = ReadySet::default();
        let mut minter = Minter::after(None);
        let lines =
            [("a", None, 2), ("a", Some("up"), 1), ("b", None, 2), ("c", Some("up"), 0), ("d", Some("shut"), 0)];
        for (queue, lane, priority) in lines.iter().chain(&lines) {
            let (lane, priority) = (lane.map(|lane: &str| lane.parse().unwrap()), Priority::new(*priority).unwrap());
            ready.insert(minter.mint(at(0), 0).key(), &Line { lane, priority, ..line(queue) }, at(0), at(0));
        }
        let mut openings = Openings { known: [("shut".parse().unwrap(), 0)].into(), other: 9 };
        let kind = line("a").kind;
        let mut take = || ready.take(&kind, &mut openings).map(|(_, line)| format!("{} {}", line.queue, line.priority));
        let order: Vec<String> = std::iter::from_fn(&mut take).collect();
        assert_eq!(order, ["c P0", "c P0", "a P1", "a P1", "a P2", "b P2", "a P2", "b P2"]);
    }

    #[test]
    fn a_closed_lane_keeps_its_jobs_and_holds_up_no_other() {
        let mut ready = ReadySet::default();
        let mut minter = Minter::after(None);
        let lanes = ["slow", "slow", "slow", "fast", "new", "new"];
        for lane in lanes {
            let line = Line { lane: Some(lane.parse().unwrap()), ..line("a") };
            ready.insert(minter.mint(at(0), 0).key(), &line, at(0), at(0));
        }
        ready.insert(minter.mint(at(0), 0).key(), &line("a"), at(0), at(0));
        let known = [("slow".parse().unwrap(), 1), ("fast".parse().unwrap(), 9)].into();
        let mut openings = Openings { known, other: 1 };
        let kind = line("a").kind;
        let mut take = || ready.take(&kind, &mut openings).map(|(_, line)| line.lane.map(|lane| lane.to_string()));
        let mut taken: Vec<_> = std::iter::from_fn(&mut take).collect();
        taken.sort();
        assert_eq!(taken, [None, Some("fast".into()), Some("new".into()), Some("slow".into())]);
        assert_eq!(ready.len(), 3);
    }

    #[test]
    fn kinds_that_need_the_same_upstream_share_its_opening() {
        let mut ready = ReadySet::default();
        let mut minter = Minter::after(None);
        let of = |kind: &str| Line { kind: kind.parse().unwrap(), lane: Some("up.m".parse().unwrap()), ..line("a") };
        for _ in 0..5 {
            ["chat", "embed"]
                .into_iter()
                .for_each(|kind| ready.insert(minter.mint(at(0), 0).key(), &of(kind), at(0), at(0)));
        }
        let mut claim = |now: i64| {
            ready.advance(at(now));
            let openings = Openings { known: [("up.m".parse().unwrap(), 3)].into(), other: 9 };
            let mut of_kind = |kind: &str| {
                let (mut openings, kind) = (openings.clone(), kind.parse().unwrap());
                (0..2).filter(|_| ready.take(&kind, &mut openings).is_some()).count()
            };
            (of_kind("chat"), of_kind("embed"))
        };
        assert_eq!([claim(1), claim(2)], [(2, 1), (2, 1)]);
    }

    #[test]
    fn a_removed_job_is_not_taken() {
        let mut ready = ReadySet::default();
        let mut minter = Minter::after(None);
        let (soon, later) = (minter.mint(at(0), 0).key(), minter.mint(at(0), 0).key());
        ready.insert(soon, &line("a"), at(0), at(0));
        ready.insert(later, &line("a"), at(9), at(0));
        assert_eq!(ready.place(soon, &line("a")), Some(Place { ahead: 0, waiting: 1, behind: 0 }));
        assert!(ready.remove(soon, &line("a"), at(0)));
        assert!(ready.remove(later, &line("a"), at(9)));
        assert!(!ready.remove(later, &line("a"), at(9)));
        assert!(ready.is_empty());
    }
}
