use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use raincheck_core::{JobKey, Line, Minter, QueueName, ReadySet, Time, WorkerId};
use raincheck_store::{Idempotency, IdempotencyIndex};

use crate::hot::Hot;

/// What the writer knows without asking the tables: who waits, what runs, what is due, which idempotency keys are in use.
/// Each change is noted, so that it can be undone with the transaction that it belongs to.
#[derive(Debug)]
pub(crate) struct Memory {
    ready: Arc<Mutex<ReadySet>>,
    running: HashMap<JobKey, Box<Hot>>,
    leases: BTreeSet<(Time, JobKey)>,
    deadlines: BTreeSet<(Time, JobKey)>,
    pub(crate) idempotency: IdempotencyIndex,
    pub(crate) minter: Minter,
    undo: Vec<Undo>,
}

/// A job that waits in its line.
#[derive(Clone, Debug)]
pub(crate) struct Wait {
    pub(crate) line: Arc<Line>,
    pub(crate) run_at: Time,
    pub(crate) deadline: Option<Time>,
}

/// How a job stands in memory.
#[derive(Debug)]
pub(crate) enum Standing {
    /// It waits.
    Waiting(Wait),
    /// It runs.
    Running(Box<Hot>),
    /// It has ended, or is not there yet.
    Nowhere,
}

/// Where it stands: enough to take it away from there.
#[derive(Debug)]
pub(crate) enum Place {
    Waiting(Wait),
    Running,
    Nowhere,
}

impl From<Hot> for Standing {
    fn from(hot: Hot) -> Self {
        if hot.life.state.is_final() {
            Self::Nowhere
        } else if hot.life.lease.is_some() {
            Self::Running(Box::new(hot))
        } else {
            Self::Waiting(Wait { line: hot.line, run_at: hot.life.run_at, deadline: hot.rules.deadline })
        }
    }
}

impl Place {
    /// Where a job of this life stands.
    pub(crate) fn of(hot: &Hot) -> Self {
        if hot.life.lease.is_some() {
            Self::Running
        } else {
            Self::Waiting(Wait { line: Arc::clone(&hot.line), run_at: hot.life.run_at, deadline: hot.rules.deadline })
        }
    }
}

impl Standing {
    fn line(&self) -> Option<&Line> {
        match self {
            Self::Waiting(wait) => Some(&wait.line),
            Self::Running(hot) => Some(&hot.line),
            Self::Nowhere => None,
        }
    }

    fn place(&self) -> Place {
        match self {
            Self::Waiting(wait) => Place::Waiting(wait.clone()),
            Self::Running(_) => Place::Running,
            Self::Nowhere => Place::Nowhere,
        }
    }
}

#[derive(Debug)]
enum Undo {
    Moved { job: JobKey, from: Standing, to: Place, now: Time },
    Remembered(u128, JobKey),
    Forgotten(Idempotency, JobKey),
    Paused(QueueName, bool),
}

impl Memory {
    /// Nothing known, and ids that sort after `last`.
    pub(crate) fn new(ready: Arc<Mutex<ReadySet>>, last: Option<JobKey>) -> Self {
        Self {
            ready,
            running: HashMap::new(),
            leases: BTreeSet::new(),
            deadlines: BTreeSet::new(),
            idempotency: IdempotencyIndex::default(),
            minter: Minter::after(last),
            undo: Vec::new(),
        }
    }

    /// The jobs that wait. Held for a moment only: callers of [`raincheck_store::Store::place`] look at it too.
    pub(crate) fn ready(&self) -> MutexGuard<'_, ReadySet> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A job that runs.
    pub(crate) fn running(&self, job: JobKey) -> Option<&Hot> {
        self.running.get(&job).map(|hot| &**hot)
    }

    /// Moves a job to where it now stands.
    pub(crate) fn stand(&mut self, job: JobKey, from: Place, to: Standing, now: Time) {
        let place = to.place();
        let from = self.shift(job, from, to, now);
        self.undo.push(Undo::Moved { job, from, to: place, now });
    }

    /// Moves a job, and gives how it stood.
    fn shift(&mut self, job: JobKey, from: Place, to: Standing, now: Time) -> Standing {
        let from = self.leave(job, from);
        if let (Standing::Nowhere, Some(line)) = (&to, from.line()) {
            self.ready().end(job, line, now);
        }
        self.enter(job, to, now);
        from
    }

    /// As [`Memory::stand`], for what is read at start and need not be undone.
    pub(crate) fn enter(&mut self, job: JobKey, to: Standing, now: Time) {
        match to {
            Standing::Waiting(Wait { line, run_at, deadline }) => {
                self.ready().insert(job, &line, run_at, now);
                if let Some(deadline) = deadline {
                    self.deadlines.insert((deadline, job));
                }
            }
            Standing::Running(hot) => {
                if let Some(lease) = &hot.life.lease {
                    self.leases.insert((lease.until, job));
                }
                if hot.line.concurrency_key.is_some() {
                    self.ready().hold(job, &hot.line);
                }
                self.running.insert(job, hot);
            }
            Standing::Nowhere => {}
        }
    }

    fn leave(&mut self, job: JobKey, from: Place) -> Standing {
        match from {
            Place::Waiting(wait) => {
                self.ready().remove(job, &wait.line, wait.run_at);
                if let Some(deadline) = wait.deadline {
                    self.deadlines.remove(&(deadline, job));
                }
                Standing::Waiting(wait)
            }
            Place::Running => {
                let Some(hot) = self.running.remove(&job) else { return Standing::Nowhere };
                if let Some(lease) = &hot.life.lease {
                    self.leases.remove(&(lease.until, job));
                }
                Standing::Running(hot)
            }
            Place::Nowhere => Standing::Nowhere,
        }
    }

    /// Remembers the idempotency key of a new job.
    pub(crate) fn remember(&mut self, idempotency: Idempotency, job: JobKey) {
        self.idempotency.insert(idempotency, job);
        self.undo.push(Undo::Remembered(idempotency.key, job));
    }

    /// Forgets the idempotency key of a job that is forgotten.
    pub(crate) fn forget(&mut self, idempotency: Idempotency, job: JobKey) {
        if self.idempotency.remove(idempotency.key, job) {
            self.undo.push(Undo::Forgotten(idempotency, job));
        }
    }

    /// Stops or resumes claiming from a queue.
    pub(crate) fn set_paused(&mut self, queue: &QueueName, paused: bool) {
        let before = self.ready().paused().any(|other| other == queue);
        self.ready().set_paused(queue, paused);
        self.undo.push(Undo::Paused(queue.clone(), before));
    }

    /// The jobs whose lease has lapsed.
    pub(crate) fn lapsed(&self, max: usize, now: Time) -> Vec<JobKey> {
        due(&self.leases, max, now)
    }

    /// The waiting jobs whose deadline has passed.
    pub(crate) fn expired(&self, max: usize, now: Time) -> Vec<JobKey> {
        due(&self.deadlines, max, now)
    }

    /// The jobs that a worker runs, those first whose lease lapses first.
    pub(crate) fn held_by(&self, worker: &WorkerId) -> Vec<JobKey> {
        let holds = |hot: &Hot| hot.life.lease.as_ref().is_some_and(|lease| lease.worker == *worker);
        let keys = self.leases.iter().map(|(_, job)| *job);
        keys.filter(|job| self.running(*job).is_some_and(holds)).collect()
    }

    /// What was changed is committed.
    pub(crate) fn commit(&mut self) {
        self.undo.clear();
    }

    /// Undoes what was changed since the last commit. Keys of jobs are not given out again.
    pub(crate) fn roll_back(&mut self) {
        while let Some(undo) = self.undo.pop() {
            match undo {
                Undo::Moved { job, from, to, now } => drop(self.shift(job, to, from, now)),
                Undo::Remembered(key, job) => drop(self.idempotency.remove(key, job)),
                Undo::Forgotten(idempotency, job) => self.idempotency.insert(idempotency, job),
                Undo::Paused(queue, paused) => self.ready().set_paused(&queue, paused),
            }
        }
    }
}

fn due(set: &BTreeSet<(Time, JobKey)>, max: usize, now: Time) -> Vec<JobKey> {
    set.iter().take_while(|(at, _)| *at <= now).take(max).map(|(_, job)| *job).collect()
}
