use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{Fence, JobId, Json, Problem, Progress, Spec, State, Time, WorkerId};

/// A job as its readers see it: what was asked for, and the fold of everything that happened since.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// Its name.
    pub id: JobId,
    /// What was asked for.
    pub spec: Arc<Spec>,
    /// What became of it so far.
    pub life: Life,
    /// How it ended, once it has. Left out of lists, where results could be large.
    pub outcome: Option<Outcome>,
}

/// The changing part of a job: all that a store keeps in the hot row, and all that [`crate::decide`] looks at besides the
/// [`crate::Rules`].
#[derive(Clone, Debug, PartialEq)]
pub struct Life {
    /// Where it is in its life.
    pub state: State,
    /// The number of the current or last attempt; 0 before the first.
    pub attempt: u32,
    /// How many attempts failed. This, not `attempt`, is held against `max_attempts`: an attempt that lost its lease or
    /// was handed back is not counted.
    pub failures: u32,
    /// How many attempts lost their lease.
    pub lease_losses: u32,
    /// The token of the last claim.
    pub fence: Fence,
    /// Who may write to the running attempt, and until when. `Some` exactly while the state is `running`.
    pub lease: Option<Lease>,
    /// Not before this.
    pub run_at: Time,
    /// Somebody asked a running attempt to stop.
    pub cancel_requested: bool,
    /// The number of the last event in the log.
    pub last_seq: u64,
    /// How many steps are recorded.
    pub steps: u32,
    /// How far the current attempt is.
    pub progress: Option<Progress>,
    /// When the first attempt started.
    pub started_at: Option<Time>,
    /// When it ended.
    pub finished_at: Option<Time>,
    /// When it is forgotten.
    pub expires_at: Option<Time>,
}

impl Life {
    /// A job that was accepted just now. The log holds one event, `accepted`, numbered 1.
    #[must_use]
    pub fn accepted(spec: &Spec) -> Self {
        Self {
            state: if spec.run_at > spec.created_at { State::Scheduled } else { State::Queued },
            attempt: 0,
            failures: 0,
            lease_losses: 0,
            fence: Fence::default(),
            lease: None,
            run_at: spec.run_at,
            cancel_requested: false,
            last_seq: 1,
            steps: 0,
            progress: None,
            started_at: None,
            finished_at: None,
            expires_at: None,
        }
    }

    /// The state at `now`: a job whose `run_at` has come is queued, without anybody having to write that down.
    #[must_use]
    pub fn state_at(&self, now: Time) -> State {
        match self.state {
            State::Scheduled | State::Waiting if self.run_at <= now => State::Queued,
            state => state,
        }
    }
}

/// The time-limited right of one worker to run one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Who holds it.
    pub worker: WorkerId,
    /// Lapses then, unless a heartbeat renews it.
    pub until: Time,
}

/// How a job ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// With this result.
    Completed(Json),
    /// With this error.
    Failed(Problem),
    /// On request, with the reason that was given.
    Cancelled(Option<String>),
    /// Its deadline passed.
    Expired,
}

/// A step whose result is recorded: it is not run again in later attempts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// Unique within the job.
    pub name: String,
    /// What it gave.
    pub result: Json,
}
