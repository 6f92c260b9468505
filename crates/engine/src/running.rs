use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use raincheck_core::{Fence, Job, JobId, JobKey, Json, Note, StepRecord, Time};
use raincheck_store::{Besides, FOLLOW_UPS_MAX, NewJob, NewSummary, SUMMARIES_MAX};
use tokio_util::sync::CancellationToken;

use crate::Stop;
use crate::approach::Approach;
use crate::context::FOLLOW_UP_BYTES_MAX;
use crate::pace::Pace;

/// An attempt that this engine runs.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) job: Job,
    /// What is recorded already, by earlier attempts and this one.
    steps: Mutex<Vec<StepRecord>>,
    /// When this attempt began here.
    pub(crate) began: Time,
    /// What the handler said and the store does not know yet.
    pub(crate) unrecorded: Mutex<Vec<Note>>,
    /// Whether the last of it must not give way to later progress.
    pub(crate) last_is_kept: AtomicBool,
    /// How often progress is recorded.
    pace: Mutex<Pace>,
    /// Held while some of it is on its way to the store, so that nothing overtakes it.
    pub(crate) recording: Arc<tokio::sync::Mutex<()>>,
    /// Woken when some of it has arrived.
    pub(crate) recorded: tokio::sync::Notify,
    /// Until it is at the gate of its lane.
    approach: Mutex<Option<Approach>>,
    /// What it leaves besides its result, if it completes.
    besides: Mutex<Besides>,
    stop: OnceLock<Stop>,
    stopping: CancellationToken,
}

impl Running {
    pub(crate) fn new(job: Job, steps: Vec<StepRecord>, began: Time, approach: Option<Approach>) -> Self {
        Self {
            pace: Mutex::new(Pace::new(job.life.last_seq)),
            job,
            steps: Mutex::new(steps),
            began,
            unrecorded: Mutex::default(),
            last_is_kept: AtomicBool::new(false),
            recording: Arc::default(),
            recorded: tokio::sync::Notify::new(),
            approach: Mutex::new(approach),
            besides: Mutex::default(),
            stop: OnceLock::new(),
            stopping: CancellationToken::new(),
        }
    }

    pub(crate) fn id(&self) -> JobId {
        self.job.id
    }

    pub(crate) fn fence(&self) -> Fence {
        self.job.life.fence
    }

    /// It is at the gate of its lane, or will not go there any more.
    pub(crate) fn arrived(&self) {
        drop(self.approach.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// Asks the attempt to stop. The first reason counts.
    pub(crate) fn ask_to_stop(&self, reason: Stop) {
        let _ = self.stop.set(reason);
        self.stopping.cancel();
    }

    pub(crate) fn stop_reason(&self) -> Option<Stop> {
        self.stop.get().copied()
    }

    pub(crate) async fn stopped(&self) -> Stop {
        self.stopping.cancelled().await;
        // The reason is set before the token is cancelled.
        self.stop_reason().unwrap_or(Stop::LeaseLost)
    }

    /// The recorded result of a step.
    pub(crate) fn step(&self, name: &str) -> Option<Json> {
        self.steps().iter().find(|step| step.name == name).map(|step| step.result.clone())
    }

    pub(crate) fn add_step(&self, record: StepRecord) {
        self.steps().push(record);
    }

    pub(crate) fn step_count(&self) -> usize {
        self.steps().len()
    }

    /// Keeps a job that it asks for, until it ends; `false` if that would be too many or too much.
    pub(crate) fn follow_up(&self, new: NewJob) -> bool {
        let follow_ups = &mut self.lock_besides().follow_ups;
        let bytes: usize = follow_ups.iter().chain([&new]).map(NewJob::bytes).sum();
        let fits = follow_ups.len() < FOLLOW_UPS_MAX && bytes <= FOLLOW_UP_BYTES_MAX;
        if fits {
            follow_ups.push(new);
        }
        fits
    }

    /// Keeps what it answers.
    pub(crate) fn reply(&self, content: Json) {
        self.lock_besides().reply = Some(content);
    }

    /// Keeps a summary; `false` if that would be too many.
    pub(crate) fn summarize(&self, new: NewSummary) -> bool {
        let summaries = &mut self.lock_besides().summaries;
        let fits = summaries.len() < SUMMARIES_MAX;
        if fits {
            summaries.push(new);
        }
        fits
    }

    /// What it leaves besides its result, as of now.
    pub(crate) fn besides(&self, now: Time) -> Besides {
        let mut besides = std::mem::take(&mut *self.lock_besides());
        for new in &mut besides.follow_ups {
            let spec = Arc::make_mut(&mut new.spec);
            (spec.created_at, spec.run_at) = (now, spec.run_at.max(now));
        }
        besides
    }

    fn lock_besides(&self) -> MutexGuard<'_, Besides> {
        self.besides.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn steps(&self) -> MutexGuard<'_, Vec<StepRecord>> {
        self.steps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn unrecorded(&self) -> MutexGuard<'_, Vec<Note>> {
        self.unrecorded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many cancels are remembered of jobs of which no attempt runs here. What is forgotten is told by the next heartbeat.
const EARLY_MAX: usize = 1_024;

/// The attempts that this engine runs, by job.
#[derive(Debug, Default)]
pub(crate) struct Attempts(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    running: BTreeMap<JobKey, Arc<Running>>,
    /// Jobs that were cancelled while no attempt of them was known, the oldest first: one may have been claimed, and begin
    /// here in a moment. Whoever is cancelled stays so, so that what is remembered does not become wrong.
    early: VecDeque<JobKey>,
}

impl Attempts {
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an attempt; one whose job was cancelled between its claim and now is asked to stop.
    pub(crate) fn insert(&self, running: Arc<Running>) {
        let mut known = self.lock();
        let key = running.id().key();
        if let Some(place) = known.early.iter().position(|early| *early == key) {
            known.early.remove(place);
            running.ask_to_stop(Stop::Cancelled);
        }
        known.running.insert(key, running);
    }

    /// Asks the attempt of a job that was cancelled to stop, now or as soon as it begins: the one before may not be off the list
    /// yet.
    pub(crate) fn cancel(&self, job: JobId, attempt: u32) {
        let mut known = self.lock();
        match known.running.get(&job.key()).filter(|running| running.job.life.attempt == attempt) {
            Some(running) => running.ask_to_stop(Stop::Cancelled),
            None => {
                if known.early.len() == EARLY_MAX {
                    known.early.pop_front();
                }
                known.early.push_back(job.key());
            }
        }
    }

    /// Takes an attempt off the list, unless a later one of the same job has taken its place.
    pub(crate) fn remove(&self, running: &Running) {
        let attempts = &mut self.lock().running;
        if attempts.get(&running.id().key()).is_some_and(|other| other.fence() == running.fence()) {
            attempts.remove(&running.id().key());
        }
    }

    pub(crate) fn all(&self) -> Vec<Arc<Running>> {
        self.lock().running.values().cloned().collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().running.len()
    }
}
