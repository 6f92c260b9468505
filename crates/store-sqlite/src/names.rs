use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use raincheck_core::{ConcurrencyKey, Kind, Lane, Line, Priority, QueueName, Spec, Tenant};
use raincheck_store::StoreError;

/// So many names there may be at most: they are never forgotten.
pub(crate) const NAMES_MAX: usize = 100_000;

/// The names of queues, kinds, tenants and lanes and their numbers, for all threads. Rows hold the number.
#[derive(Debug, Default)]
pub(crate) struct Names(RwLock<Known>);

#[derive(Debug, Default)]
struct Known {
    /// In the order of their numbers, which begin with 1.
    names: Vec<Name>,
    numbers: HashMap<Box<str>, i64>,
}

/// One name in each of the roles that it can have.
#[derive(Clone, Debug)]
struct Name {
    queue: QueueName,
    kind: Kind,
    tenant: Tenant,
    lane: Lane,
}

/// The numbers of a [`Line`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct LineIds {
    pub(crate) queue: i64,
    pub(crate) kind: i64,
    pub(crate) tenant: i64,
    /// 0 if the job needs no upstream.
    pub(crate) lane: i64,
    pub(crate) priority: u8,
}

impl Names {
    /// The line of these numbers, without a concurrency key.
    pub(crate) fn line(&self, ids: LineIds) -> Result<Line, StoreError> {
        let known = self.read();
        let name = |id: i64| {
            let name = usize::try_from(id - 1).ok().and_then(|index| known.names.get(index));
            name.ok_or_else(|| StoreError::Unreadable(format!("there is no name {id}")))
        };
        Ok(Line {
            queue: name(ids.queue)?.queue.clone(),
            kind: name(ids.kind)?.kind.clone(),
            tenant: name(ids.tenant)?.tenant.clone(),
            lane: if ids.lane == 0 { None } else { Some(name(ids.lane)?.lane.clone()) },
            priority: Priority::new(ids.priority).map_err(|error| StoreError::Unreadable(error.to_string()))?,
            concurrency_key: None,
        })
    }

    /// The number of a name, if it has one.
    pub(crate) fn number(&self, text: &str) -> Option<i64> {
        self.read().numbers.get(text).copied()
    }

    fn push(&self, text: &str) -> Result<i64, StoreError> {
        let unreadable = |error: raincheck_core::NameError| StoreError::Unreadable(error.to_string());
        let kind: Kind = text.parse().map_err(unreadable)?;
        let (tenant, lane) = (text.parse().map_err(unreadable)?, text.parse().map_err(unreadable)?);
        let mut known = self.write();
        let number = i64::try_from(known.names.len() + 1).unwrap_or(i64::MAX);
        known.numbers.insert(text.into(), number);
        known.names.push(Name { queue: QueueName::from(&kind), kind, tenant, lane });
        Ok(number)
    }

    fn truncate(&self, len: usize) {
        let Known { names, numbers } = &mut *self.write();
        for name in names.drain(len.min(names.len())..) {
            numbers.remove(name.kind.as_str());
        }
    }

    fn len(&self) -> usize {
        self.read().names.len()
    }

    fn read(&self) -> RwLockReadGuard<'_, Known> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Known> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The numbers of names and lines, for the writer, which alone gives them out.
#[derive(Debug, Default)]
pub(crate) struct Numbers {
    names: Arc<Names>,
    /// The lines in use. Made once each: all threads share the names, and counting who holds them is not cheap.
    lines: HashMap<LineIds, Arc<Line>>,
    /// The last that was asked for. Most neighbours stand in the same line.
    last: Option<(LineIds, Arc<Line>)>,
}

/// The same line with a concurrency key. Few jobs have the same, so it is not worth being remembered.
pub(crate) fn keyed(line: Arc<Line>, key: Option<&ConcurrencyKey>) -> Arc<Line> {
    match key {
        None => line,
        Some(key) => Arc::new(Line { concurrency_key: Some(key.clone()), ..(*line).clone() }),
    }
}

/// So many lines are remembered.
const LINES_MAX: usize = 10_000;

impl Numbers {
    /// No names yet.
    pub(crate) fn new(names: Arc<Names>) -> Self {
        Self { names, ..Self::default() }
    }

    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }

    /// The names, for whoever makes jobs of rows.
    pub(crate) fn names(&self) -> Arc<Names> {
        Arc::clone(&self.names)
    }

    /// The number of a name, if it has one.
    pub(crate) fn get(&self, text: &str) -> Option<i64> {
        self.names.number(text)
    }

    /// The line of a job, and its numbers, if it is that of the job before.
    pub(crate) fn last_line(&self, spec: &Spec) -> Option<(LineIds, Arc<Line>)> {
        let same = |line: &Line| {
            line.queue == spec.queue
                && line.kind == spec.kind
                && line.tenant == spec.tenant
                && line.lane == spec.lane
                && line.priority == spec.priority
        };
        self.last.clone().filter(|(_, line)| same(line))
    }

    /// The line of these numbers, with this concurrency key.
    pub(crate) fn keyed_line(&mut self, ids: LineIds, key: Option<&ConcurrencyKey>) -> Result<Arc<Line>, StoreError> {
        self.line(ids).map(|line| keyed(line, key))
    }

    /// The line of these numbers, without a concurrency key.
    pub(crate) fn line(&mut self, ids: LineIds) -> Result<Arc<Line>, StoreError> {
        if let Some((_, line)) = self.last.as_ref().filter(|(last, _)| *last == ids) {
            return Ok(Arc::clone(line));
        }
        let line = match self.lines.get(&ids) {
            Some(line) => Arc::clone(line),
            None => {
                let line = Arc::new(self.names.line(ids)?);
                if self.lines.len() == LINES_MAX {
                    self.lines.clear();
                }
                self.lines.insert(ids, Arc::clone(&line));
                line
            }
        };
        self.last = Some((ids, Arc::clone(&line)));
        Ok(line)
    }

    /// Gives a name the next number.
    pub(crate) fn add(&mut self, text: &str) -> Result<i64, StoreError> {
        self.names.push(text)
    }

    /// Takes back the numbers after the first `len`, because they were not stored.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.lines.clear();
        self.last = None;
        self.names.truncate(len);
    }
}
