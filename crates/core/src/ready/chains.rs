use std::collections::BTreeMap;

use crate::{ConcurrencyKey, JobKey, Line, Tenant, Time};

/// So many jobs of a chain are counted at most when one asks how many are before it.
pub(super) const COUNTED_MAX: usize = 10_000;

/// The jobs that share a [`ConcurrencyKey`] and have not ended, in the order in which they were accepted: a chain for each
/// tenant and key, of which only the first job is run. About 300 bytes for each job; jobs without a key are not here.
#[derive(Debug, Default)]
pub(super) struct Chains {
    /// All chains in one map: a chain is a range of it.
    links: BTreeMap<(Tenant, ConcurrencyKey, JobKey), Link>,
    /// The keys of the first jobs that wait to be taken, where a queue holds no more of a job than its number.
    standing: BTreeMap<JobKey, ConcurrencyKey>,
}

/// A job of a chain.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub(super) job: JobKey,
    pub(super) line: Line,
    /// Not before this; `None` while it does not wait, because it runs.
    pub(super) run_at: Option<Time>,
}

/// Where a job of a chain now stands.
pub(super) enum Stands {
    /// Before all others. It has taken this place from another, which may wait to be taken.
    First(Option<Link>),
    /// Behind another.
    Behind,
}

impl Chains {
    /// A job enters its chain, or takes up another state there: it waits if `run_at` is given. `None` if it waits already,
    /// or has no key.
    pub(super) fn enter(&mut self, job: JobKey, line: &Line, run_at: Option<Time>) -> Option<Stands> {
        let name = name(line, job)?;
        let known = self.links.get(&name);
        if run_at.is_some() && known.is_some_and(|link| link.run_at.is_some()) {
            return None;
        }
        let is_new = known.is_none();
        self.links.insert(name, Link { job, line: line.clone(), run_at });
        Some(match self.first(line) {
            Some(first) if first.job != job => Stands::Behind,
            _ => Stands::First(is_new.then(|| self.after(job, line)).flatten()),
        })
    }

    /// A job does not wait any more, but keeps its place; whether it waited.
    pub(super) fn stop_waiting(&mut self, job: JobKey, line: &Line) -> bool {
        let link = name(line, job).and_then(|name| self.links.get_mut(&name));
        link.is_some_and(|link| link.run_at.take().is_some())
    }

    /// A job has ended and leaves its chain; gives the one that is now first, if it was this one's turn.
    pub(super) fn leave(&mut self, job: JobKey, line: &Line) -> Option<Link> {
        let was_first = self.first(line).is_some_and(|first| first.job == job);
        self.links.remove(&name(line, job)?);
        if was_first { self.first(line).cloned() } else { None }
    }

    /// How many jobs of its chain are before this one, counted up to [`COUNTED_MAX`], and the first of them; `None` if none
    /// is.
    pub(super) fn before(&self, job: JobKey, line: &Line) -> Option<(usize, &Link)> {
        let first = self.first(line).filter(|first| first.job < job)?;
        let before = self.links.range(name(line, first.job)?..name(line, job)?);
        Some((before.take(COUNTED_MAX).count(), first))
    }

    /// A job waits to be taken.
    pub(super) fn stand(&mut self, job: JobKey, line: &Line) {
        if let Some(key) = &line.concurrency_key {
            self.standing.insert(job, key.clone());
        }
    }

    /// A job does not wait to be taken any more; gives its key.
    pub(super) fn unstand(&mut self, job: JobKey) -> Option<ConcurrencyKey> {
        self.standing.remove(&job)
    }

    fn first(&self, line: &Line) -> Option<&Link> {
        self.links.range(name(line, JobKey::MIN)?..=name(line, JobKey::MAX)?).next().map(|(_, link)| link)
    }

    fn after(&self, job: JobKey, line: &Line) -> Option<Link> {
        let mut rest = self.links.range(name(line, job)?..=name(line, JobKey::MAX)?);
        rest.nth(1).map(|(_, link)| link.clone())
    }
}

fn name(line: &Line, job: JobKey) -> Option<(Tenant, ConcurrencyKey, JobKey)> {
    line.concurrency_key.as_ref().map(|key| (line.tenant.clone(), key.clone(), job))
}
