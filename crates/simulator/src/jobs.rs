//! Work that goes on when nobody waits for it: background Responses, FAL's requests, Replicate's predictions.
//!
//! How a job stands is computed from its plan and the time, so nothing has to move it along.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::config::Dialect;
use crate::ledger::End;
use crate::plan::{Plan, Seeds};
use crate::sim::Bounded;
use crate::work::Running;

/// Jobs that are kept, with what was asked of them; the oldest make room.
pub const JOBS_MAX: usize = 20_000;
/// What the requests of all jobs together may hold.
pub const JOBS_BYTES_MAX: usize = 256 * 1024 * 1024;
/// How much of the work is between two lines of the log.
const LOG_LINES: u32 = 4;
/// In which places of a queue a job is seen.
const QUEUE_PLACES: u32 = 3;

/// A job.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) id: String,
    pub(crate) dialect: Dialect,
    /// The application or version that it was sent to, where the path says so.
    pub(crate) target: String,
    pub(crate) body: Value,
    pub(crate) body_bytes: usize,
    pub(crate) model: String,
    pub(crate) input_tokens: u64,
    /// Its answer is text.
    pub(crate) writes: bool,
    pub(crate) plan: Plan,
    pub(crate) seeds: Seeds,
    pub(crate) begun: Instant,
    /// It was sent off to be looked after later, rather than waited for.
    pub(crate) background: bool,
    /// Its work fails in the end.
    pub(crate) fails: bool,
    /// With this status, where a failure has one.
    pub(crate) fails_with: Option<u16>,
    /// What comes of it is found unfit.
    pub(crate) flagged: bool,
    pub(crate) cancel: CancellationToken,
    pub(crate) cancelled: Mutex<Option<Instant>>,
    /// What the ledger is told when it ends.
    pub(crate) running: Mutex<Option<Running>>,
}

/// How a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Queued { place: u32 },
    Running,
    Done,
    Failed,
    Cancelled,
}

impl Stage {
    pub(crate) fn is_over(self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::Cancelled)
    }
}

impl Job {
    /// From its acceptance to its end, if nobody cancels it.
    pub(crate) fn length(&self) -> Duration {
        self.plan.queue + self.plan.whole()
    }

    /// How it stands. Whoever sees that it has ended finds that in the ledger, too.
    pub(crate) fn stage(&self, now: Instant) -> Stage {
        let stage = self.stage_at(now);
        if stage.is_over() {
            self.settle(match stage {
                Stage::Cancelled => End::Cancelled,
                Stage::Failed => End::Failed,
                _ => End::Completed,
            });
        }
        stage
    }

    /// Tells the ledger how it ended, once.
    pub(crate) fn settle(&self, end: End) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut running) = running {
            let written = if self.writes { self.tokens_written(Instant::now()) } else { 0 };
            running.wrote(u64::from(written));
            running.end(end);
        }
    }

    fn stage_at(&self, now: Instant) -> Stage {
        if self.cancelled_at().is_some() {
            return Stage::Cancelled;
        }
        let age = now.saturating_duration_since(self.begun);
        if age < self.plan.queue {
            let left = (self.plan.queue - age).as_secs_f64() / self.plan.queue.as_secs_f64();
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a few places")]
            let place = (left * f64::from(QUEUE_PLACES)).floor() as u32;
            return Stage::Queued { place };
        }
        match (age >= self.length(), self.fails) {
            (false, _) => Stage::Running,
            (true, false) => Stage::Done,
            (true, true) => Stage::Failed,
        }
    }

    pub(crate) fn cancelled_at(&self) -> Option<Instant> {
        *self.cancelled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the job, unless it has ended. Whether it is this that ended it.
    pub(crate) fn cancel_at(&self, now: Instant) -> bool {
        let mut cancelled = self.cancelled.lock().unwrap_or_else(PoisonError::into_inner);
        if cancelled.is_some() || now >= self.begun + self.length() {
            return false;
        }
        *cancelled = Some(now);
        drop(cancelled);
        self.cancel.cancel();
        self.settle(End::Cancelled);
        true
    }

    /// What it has said of its work: a line at every quarter.
    pub(crate) fn lines(&self, now: Instant) -> Vec<String> {
        let until = self.cancelled_at().map_or(now, |cancelled| cancelled.min(now));
        let begins = self.begun + self.plan.queue;
        let said = (0..=LOG_LINES).filter(|line| until >= begins + self.plan.whole() * *line / LOG_LINES);
        said.map(|line| format!("{}% of the simulated work is done", line * 100 / LOG_LINES)).collect()
    }

    /// How many tokens it has written.
    pub(crate) fn tokens_written(&self, now: Instant) -> u32 {
        let until = self.cancelled_at().map_or(now, |cancelled| cancelled.min(now));
        let mut due = self.begun + self.plan.queue;
        let written = (0..self.plan.tokens).take_while(|place| {
            due += self.plan.gap(*place);
            due <= until
        });
        u32::try_from(written.count()).unwrap_or(u32::MAX)
    }
}

/// The jobs.
#[derive(Debug)]
pub(crate) struct Jobs {
    kept: Bounded<String, Arc<Job>>,
    bytes: usize,
}

impl Default for Jobs {
    fn default() -> Self {
        Self { kept: Bounded::new(JOBS_MAX), bytes: 0 }
    }
}

impl Jobs {
    /// Keeps a job.
    pub(crate) fn add(&mut self, job: Arc<Job>) {
        self.bytes += job.body_bytes;
        let over = |bytes: usize| bytes > JOBS_BYTES_MAX;
        let mut gone = self.kept.insert(job.id.clone(), job);
        if gone.is_none() && over(self.bytes) {
            gone = self.kept.pop_oldest();
        }
        while let Some(oldest) = gone {
            self.bytes -= oldest.body_bytes;
            // Nobody can ask for it any more.
            oldest.cancel.cancel();
            gone = if over(self.bytes) { self.kept.pop_oldest() } else { None };
        }
    }

    pub(crate) fn get(&self, dialect: Dialect, id: &str) -> Option<Arc<Job>> {
        self.kept.get(&id.to_owned()).filter(|job| job.dialect == dialect).map(Arc::clone)
    }

    pub(crate) fn remove(&mut self, id: &str) {
        if let Some(job) = self.kept.remove(&id.to_owned()) {
            self.bytes -= job.body_bytes;
        }
    }

    /// Ends and forgets all of them.
    pub(crate) fn clear(&mut self) {
        for (_, job) in self.kept.iter() {
            job.cancel.cancel();
        }
        *self = Self::default();
    }
}
