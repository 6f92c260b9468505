use std::sync::Arc;

use raincheck_core::{
    Class, Event, Job, Json, Note, Problem, ProblemType, Progress, Retry, STEPS_MAX, StepRecord, Time,
};
use raincheck_store::FOLLOW_UPS_MAX;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use crate::part::{Listener, Part};
use crate::recorder::Recorder;
use crate::running::Running;
use crate::{Engine, Failure, Submission};

/// How many bytes the follow-up jobs of one attempt may have in all, counted by their inputs and messages: 4 MiB.
pub const FOLLOW_UP_BYTES_MAX: usize = 4 << 20;

/// Why a running attempt is asked to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Somebody cancelled the job.
    Cancelled,
    /// The attempt took longer than it may.
    TimedOut,
    /// The job's deadline passed.
    Expired,
    /// The attempt lost its lease: somebody else may be running the job already, and nothing it does counts any more.
    LeaseLost,
    /// The engine is about to stop; the job will be run again elsewhere or later.
    Draining,
}

/// What a handler has to do with the job it runs.
#[derive(Clone)]
pub struct Context {
    pub(crate) running: Arc<Running>,
    pub(crate) engine: Engine,
    /// The part of the job that this is for; the whole if none.
    part: Option<Part>,
}

impl Context {
    pub(crate) fn new(running: Arc<Running>, engine: Engine) -> Self {
        Self { running, engine, part: None }
    }

    /// The context of a part of the work that another handler does: its steps are recorded under `name/`, and what it says
    /// of its progress and puts out goes to `listener` instead of the log. `failures`: how often it has failed without the job
    /// being held to account for it.
    #[must_use]
    pub fn part(&self, name: &str, failures: u32, listener: Arc<dyn Listener>) -> Self {
        let name = self.full_name(name);
        let failures = failures + self.part.as_ref().map_or(0, |whole| whole.failures);
        let halted = self.part.as_ref().map_or_else(CancellationToken::new, |whole| whole.halted.child_token());
        Self { part: Some(Part { failures, name, listener, halted }), ..self.clone() }
    }

    /// How often this work has failed before: the attempts of its job, and of a part of it what is counted for that alone.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.job().life.failures + self.part.as_ref().map_or(0, |part| part.failures)
    }

    /// Asks this part of the work to stop, and all parts of it, as if its job had been cancelled. The rest of the job goes on.
    pub fn halt(&self) {
        if let Some(part) = &self.part {
            part.halted.cancel();
        }
    }

    /// What this work is called wherever it must not be done twice: the job's id, and for a part of a job its name as well.
    #[must_use]
    pub fn key(&self) -> String {
        let job = self.job().id;
        self.part.as_ref().map_or_else(|| job.to_string(), |part| format!("{job}/{}", part.name))
    }

    /// Under what a step of this work is recorded.
    #[must_use]
    pub fn full_name(&self, name: &str) -> String {
        self.part.as_ref().map_or_else(|| name.to_owned(), |part| format!("{}/{name}", part.name))
    }

    /// What the whole job says when this part of it says how far it is.
    fn of_whole(&self, progress: Progress) -> Progress {
        match &self.part {
            Some(part) => part.listener.progress(progress),
            None => progress,
        }
    }

    fn recorder(&self) -> &Recorder {
        &self.engine.0.recorder
    }

    /// The job, as it was when the attempt started.
    #[must_use]
    pub fn job(&self) -> &Job {
        &self.running.job
    }

    /// Says that the upstream's gate has let the attempt through, or has not. Until then the attempt counts as one that the
    /// gate does not know of yet, and one job fewer of its lane is claimed: a handler whose jobs have a lane must say it.
    pub fn arrived(&self) {
        self.running.arrived();
    }

    /// Says how far the work is. Cheap, and as often as you like: only what people can see is recorded, but the last
    /// value always is, as long as the log is not full ([`EVENTS_MAX`](raincheck_core::EVENTS_MAX)).
    pub fn progress(&self, progress: Progress) {
        let progress = self.of_whole(progress);
        self.recorder().push(&self.running, Note::Progress(progress));
    }

    /// As [`Context::progress`], but every line is recorded, in order: none takes the place of another. Waits while more than
    /// a bounded amount is not yet recorded.
    ///
    /// # Errors
    /// If the attempt has been asked to stop.
    pub async fn line(&self, progress: Progress) -> Result<(), Failure> {
        self.recorder().room(&self.running).await?;
        let progress = self.of_whole(progress);
        self.recorder().push_line(&self.running, progress);
        Ok(())
    }

    /// What the job's log says behind `seq`, as far as it is recorded, up to `max` events.
    ///
    /// # Errors
    /// If it cannot be read.
    pub async fn log(&self, seq: u64, max: usize) -> Result<Vec<Event>, Failure> {
        self.recorder().log(&self.running, seq, max).await
    }

    /// The time of day.
    #[must_use]
    pub fn now(&self) -> Time {
        self.recorder().now()
    }

    /// Adds a piece of output to the job's log, where followers see it at once. Waits while more than a bounded amount
    /// is not yet recorded. Left out once the log is full ([`EVENTS_MAX`](raincheck_core::EVENTS_MAX)), which an event
    /// says.
    ///
    /// # Errors
    /// If the attempt has been asked to stop.
    pub async fn emit(&self, output: Json) -> Result<(), Failure> {
        let output = match &self.part {
            Some(part) => part.listener.output(output),
            None => Some(output),
        };
        match output {
            Some(output) => self.note(Note::Output(output)).await,
            None => Ok(()),
        }
    }

    /// Does a part of the work once: its result is recorded under `name`, and whoever asks for the step again, in this
    /// attempt or a later one, is given the record instead of running it. When this returns, the result is durable.
    ///
    /// # Errors
    /// Those of `work`; and if the attempt has been asked to stop, the record cannot be read as `T`, or the job has
    /// recorded [`STEPS_MAX`] steps.
    pub async fn step<T, F>(&self, name: &str, work: F) -> Result<T, Failure>
    where
        T: Serialize + DeserializeOwned,
        F: Future<Output = Result<T, Failure>>,
    {
        if let Some(result) = self.recorded(name)? {
            return Ok(result);
        }
        let result = work.await?;
        self.record(name, &result).await?;
        Ok(result)
    }

    /// The result of a step that is recorded already.
    ///
    /// # Errors
    /// If the record cannot be read as `T`.
    pub fn recorded<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Failure> {
        let result = self.running.step(&self.full_name(name)).map(|result| result.parse());
        result.transpose().map_err(|error| unreadable(name, &error))
    }

    /// Records the result of a step; it is durable when this returns.
    pub(crate) async fn record<T: Serialize>(&self, name: &str, result: &T) -> Result<(), Failure> {
        let result = Json::from_value(result).map_err(|error| unreadable(name, &error))?;
        if self.running.step_count() >= STEPS_MAX as usize {
            let detail = format!("it wants to record more than {STEPS_MAX} steps; do more in each");
            return Err(Failure::fatal(Problem::new(ProblemType::HANDLER_FAILED, detail)));
        }
        let record = StepRecord { name: self.full_name(name), result };
        self.running.add_step(record.clone());
        self.note(Note::Step(record)).await?;
        self.recorder().flushed(&self.running).await
    }

    /// Asks for a job that follows this one up: it is accepted in the transaction in which this job completes, if this attempt
    /// completes it, and never without. It belongs to this job's tenant, whatever the submission says, and tells this job as
    /// its `parent`. An event of this job's log, `follow_up`, says which job it became, or why none: where a quota is reached
    /// or its idempotency key stands for another request, the wish is dropped.
    ///
    /// Of an attempt that is followed by another nothing is kept, so ask in every attempt, outside of [`Context::step`].
    ///
    /// # Errors
    /// If the wish cannot be granted as it is ([`Engine::submit`] would refuse it), or the attempt has asked for
    /// [`FOLLOW_UPS_MAX`] jobs or [`FOLLOW_UP_BYTES_MAX`] bytes of input already.
    pub async fn follow_up(&self, mut submission: Submission) -> Result<(), Failure> {
        submission.tenant = self.job().spec.tenant.clone();
        let parent = Some(self.job().id);
        let new = self.engine.new_job(submission, |spec| spec.parent = parent).await.map_err(refused)?;
        if self.running.follow_up(new) {
            return Ok(());
        }
        let detail = format!(
            "an attempt may ask for {FOLLOW_UPS_MAX} follow-up jobs with {FOLLOW_UP_BYTES_MAX} bytes of input in all"
        );
        Err(Failure::fatal(Problem::new(ProblemType::HANDLER_FAILED, detail)))
    }

    /// Waits until the attempt is asked to stop, by a cancel or otherwise; gives why. A handler that ends soon after it
    /// decides itself what state it leaves; one that does not is dropped after a grace time.
    pub async fn cancelled(&self) -> Stop {
        let Some(part) = &self.part else { return self.running.stopped().await };
        tokio::select! {
            stop = self.running.stopped() => stop,
            () = part.halted.cancelled() => Stop::Cancelled,
        }
    }

    /// Why the attempt has been asked to stop, if it has.
    #[must_use]
    pub fn stop_reason(&self) -> Option<Stop> {
        let is_halted = self.part.as_ref().is_some_and(|part| part.halted.is_cancelled());
        self.running.stop_reason().or(is_halted.then_some(Stop::Cancelled))
    }

    async fn note(&self, note: Note) -> Result<(), Failure> {
        self.recorder().room(&self.running).await?;
        self.recorder().push(&self.running, note);
        Ok(())
    }
}

/// What an overloaded server refuses it may take a little later.
fn refused(problem: Problem) -> Failure {
    let retry = if problem.class == Class::Unavailable { Retry::Backoff } else { Retry::Never };
    Failure { problem, retry }
}

fn unreadable(name: &str, error: &serde_json::Error) -> Failure {
    let detail = format!("the recorded result of step {name:?} cannot be read: {error}; submit the job anew");
    Failure::fatal(Problem::new(ProblemType::INTERNAL, detail))
}
