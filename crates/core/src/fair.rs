use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::{JobKey, Priority, Tenant};

/// Of this many jobs of a kind that are taken, one is taken from a lower priority than the highest that waits; the lower ones
/// take turns. So a flood of urgent jobs slows the others down, but never stops them: the first job of each priority is taken
/// within so many takes, times the number of lower priorities that wait.
pub const LOWER_PRIORITY_SHARE: u32 = 16;

/// What a job is expected to cost until its tenant's jobs have shown what they cost.
const COST_DEFAULT_MS: u64 = 1_000;
/// No job counts for more than this, so that one long job does not shut its tenant out for hours.
const COST_MAX_MS: u64 = 3_600_000;

/// Which priority is served next: the highest at which something waits, with a minimum share for the lower ones.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    /// Counts takes since a lower priority had its turn.
    since_lower: u32,
    /// The last lower priority that had its turn.
    lower: usize,
}

impl Turns {
    /// The priority whose turn it is, if something waits at any. The caller takes a job of it.
    pub(crate) fn next(&mut self, waits: impl Fn(Priority) -> bool) -> Option<Priority> {
        let waits = |level: &usize| priority(*level).is_some_and(&waits);
        let highest = (0..Priority::COUNT).find(waits)?;
        let lower =
            (self.lower + 1..Priority::COUNT).chain(highest + 1..=self.lower).filter(|l| *l > highest).find(waits);
        self.since_lower += 1;
        match lower {
            Some(lower) if self.since_lower >= LOWER_PRIORITY_SHARE => {
                self.since_lower = 0;
                self.lower = lower;
                priority(lower)
            }
            Some(_) => priority(highest),
            None => {
                self.since_lower = 0;
                priority(highest)
            }
        }
    }
}

fn priority(level: usize) -> Option<Priority> {
    Priority::new(u8::try_from(level).ok()?).ok()
}

/// Jobs of one kind waiting in one queue for the same upstream, and who is next of each priority: deficit round robin
/// (Shreedhar and Varghese, 1995) over the tenants, where a job's cost is the time that the tenant's jobs have been taking.
/// Inside a tenant: in order of acceptance.
#[derive(Debug, Default)]
pub struct FairQueue {
    levels: [Level; Priority::COUNT],
    len: usize,
}

/// The tenants waiting at one priority.
#[derive(Debug, Default)]
struct Level {
    lanes: BTreeMap<Tenant, Lane>,
    /// The tenants of `lanes`, in the order in which they are served.
    ring: VecDeque<Tenant>,
}

#[derive(Debug)]
struct Lane {
    /// Sorted: a job that comes back stands where it stood.
    jobs: VecDeque<JobKey>,
    /// How much work the tenant may still be given in this round, in milliseconds.
    credit_ms: u64,
    /// What its jobs have been taking: a moving average.
    cost_ms: u64,
}

impl FairQueue {
    /// How many jobs wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no job waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds a job, at its place by acceptance.
    pub fn push(&mut self, priority: Priority, tenant: &Tenant, job: JobKey) {
        let level = &mut self.levels[usize::from(priority.number())];
        if !level.lanes.contains_key(tenant) {
            level.ring.push_back(tenant.clone());
            let lane = Lane { jobs: VecDeque::new(), credit_ms: 0, cost_ms: COST_DEFAULT_MS };
            level.lanes.insert(tenant.clone(), lane);
        }
        let jobs = level.lanes.get_mut(tenant).map(|lane| &mut lane.jobs).expect("the lane was just made");
        if jobs.back().is_none_or(|last| *last < job) {
            jobs.push_back(job);
            self.len += 1;
        } else if let Err(place) = jobs.binary_search(&job) {
            jobs.insert(place, job);
            self.len += 1;
        }
    }

    /// Takes out a job that shall not be run; whether it was there.
    pub fn remove(&mut self, priority: Priority, tenant: &Tenant, job: JobKey) -> bool {
        let level = &mut self.levels[usize::from(priority.number())];
        let Some(lane) = level.lanes.get_mut(tenant) else { return false };
        let Ok(place) = lane.jobs.binary_search(&job) else { return false };
        lane.jobs.remove(place);
        self.len -= 1;
        if lane.jobs.is_empty() {
            level.lanes.remove(tenant);
            level.ring.retain(|other| other != tenant);
        }
        true
    }

    /// Takes the job that is next of a priority.
    pub fn take(&mut self, priority: Priority) -> Option<(Tenant, JobKey)> {
        let taken = self.levels[usize::from(priority.number())].take()?;
        self.len -= 1;
        Some(taken)
    }

    /// Whether a job of a priority waits.
    #[must_use]
    pub fn waits(&self, priority: Priority) -> bool {
        !self.levels[usize::from(priority.number())].lanes.is_empty()
    }

    /// Learns what a job of this tenant took.
    pub fn observe(&mut self, priority: Priority, tenant: &Tenant, took: Duration) {
        if let Some(lane) = self.levels[usize::from(priority.number())].lanes.get_mut(tenant) {
            let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX).clamp(1, COST_MAX_MS);
            lane.cost_ms = (lane.cost_ms * 4 + took_ms).div_ceil(5);
        }
    }

    /// How many jobs are likely to be taken before this one; `None` if it does not wait here.
    #[must_use]
    pub fn ahead(&self, priority: Priority, tenant: &Tenant, job: JobKey) -> Option<usize> {
        let level = usize::from(priority.number());
        let rank = self.levels[level].lanes.get(tenant)?.jobs.binary_search(&job).ok()?;
        let others = self.levels[level].lanes.iter().filter(|(other, _)| *other != tenant);
        let in_turn: usize = others.map(|(_, lane)| lane.jobs.len().min(rank + 1)).sum();
        let above: usize =
            self.levels[..level].iter().flat_map(|level| level.lanes.values()).map(|l| l.jobs.len()).sum();
        Some(rank + in_turn + above)
    }
}

impl Level {
    fn take(&mut self) -> Option<(Tenant, JobKey)> {
        // Nobody's job costs more than the quantum, so that each tenant is served once per round at least.
        let quantum = self.lanes.values().map(|lane| lane.cost_ms).max()?;
        loop {
            let tenant = self.ring.front()?;
            let lane = self.lanes.get_mut(tenant)?;
            if lane.credit_ms < lane.cost_ms {
                lane.credit_ms += quantum;
                self.ring.rotate_left(1);
                continue;
            }
            lane.credit_ms -= lane.cost_ms;
            let job = lane.jobs.pop_front()?;
            let tenant = tenant.clone();
            if lane.jobs.is_empty() {
                // A tenant that waits for nothing saves up nothing.
                self.lanes.remove(&tenant);
                self.ring.pop_front();
            }
            return Some((tenant, job));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{JobId, Minter, Time};

    fn keys(count: usize) -> Vec<JobKey> {
        let mut minter = Minter::after(None);
        (0..count).map(|_| minter.mint(Time::EPOCH, 0)).map(|id: JobId| id.key()).collect()
    }

    fn tenant(name: &str) -> Tenant {
        name.parse().unwrap()
    }

    fn priority(number: u8) -> Priority {
        Priority::new(number).unwrap()
    }

    #[test]
    fn a_quiet_tenant_does_not_wait_behind_a_loud_one() {
        let mut queue = FairQueue::default();
        let keys = keys(1_001);
        for key in &keys[..1_000] {
            queue.push(priority(5), &tenant("loud"), *key);
        }
        queue.push(priority(5), &tenant("quiet"), keys[1_000]);
        assert!(queue.ahead(priority(5), &tenant("quiet"), keys[1_000]).unwrap() <= 1);
        let turn = std::iter::from_fn(|| queue.take(priority(5))).position(|(who, _)| who == tenant("quiet")).unwrap();
        assert!(turn <= 1, "served at turn {turn}");
    }

    #[test]
    fn tenants_share_time_not_counts() {
        let mut queue = FairQueue::default();
        for key in keys(2_000).chunks(2) {
            queue.push(priority(5), &tenant("long"), key[0]);
            queue.push(priority(5), &tenant("short"), key[1]);
        }
        for _ in 0..50 {
            queue.observe(priority(5), &tenant("long"), Duration::from_secs(10));
            queue.observe(priority(5), &tenant("short"), Duration::from_secs(1));
        }
        let mut served = BTreeMap::<Tenant, usize>::new();
        for (tenant, _) in std::iter::from_fn(|| queue.take(priority(5))).take(550) {
            *served.entry(tenant).or_default() += 1;
        }
        assert!((45..=55).contains(&served[&tenant("long")]), "{served:?}");
    }

    #[test]
    fn lower_priorities_get_their_stated_share() {
        let mut turns = Turns::default();
        let mut served = BTreeMap::<u8, u32>::new();
        for _ in 0..320 {
            let next = turns.next(|priority| [0, 5, 9].contains(&priority.number())).unwrap();
            *served.entry(next.number()).or_default() += 1;
        }
        assert_eq!(served, BTreeMap::from([(0, 300), (5, 10), (9, 10)]));
        assert_eq!(turns.next(|_| false), None);
    }

    #[test]
    fn whoever_comes_first_among_lower_ones_is_next_or_the_one_after() {
        let mut turns = Turns::default();
        for _ in 0..100 {
            assert_eq!(turns.next(|priority| priority.number() == 9), Some(priority(9)));
        }
        assert_eq!(turns.next(|priority| [0, 9].contains(&priority.number())), Some(priority(0)));
    }

    #[test]
    fn within_a_tenant_the_order_is_that_of_acceptance_even_for_a_job_that_comes_back() {
        let mut queue = FairQueue::default();
        let keys = keys(3);
        for key in [keys[1], keys[2], keys[0], keys[1]] {
            queue.push(Priority::default(), &Tenant::default(), key);
        }
        assert_eq!(queue.len(), 3);
        assert_eq!(queue.ahead(Priority::default(), &Tenant::default(), keys[2]), Some(2));
        assert!(queue.remove(Priority::default(), &Tenant::default(), keys[1]));
        assert!(!queue.remove(Priority::default(), &Tenant::default(), keys[1]));
        let order: Vec<JobKey> = std::iter::from_fn(|| queue.take(Priority::default())).map(|(_, key)| key).collect();
        assert_eq!(order, [keys[0], keys[2]]);
        assert!(queue.is_empty());
    }
}
