use std::time::Duration;

use crate::{
    Backoff, Dice, Event, EventBody, Fence, Lease, Life, Note, Outcome, Problem, ProblemType, Rules, State, Time,
    WorkerId,
};

/// How many lost leases quarantine a job: after this many it is not started again, for it is likely what kills its
/// workers.
pub const LEASE_LOSSES_MAX: u32 = 3;

/// How long after a job's deadline its running attempt may still be told to stop and stop. No lease lasts longer, so that
/// a worker which does not heed the deadline loses the job then, however alive it is.
pub const DEADLINE_GRACE: Duration = Duration::from_secs(30);

/// How many events a job's log holds before it is full: what attempts then say of their progress and output is left out,
/// and one event, [`EventBody::LogFull`], says so. All else is still recorded, and the job goes on to its end.
pub const EVENTS_MAX: u64 = 100_000;

/// How many steps a job records. Without its record a step would be done again, so they are not left out when a log is
/// full; an attempt that wants to record more is refused that.
pub const STEPS_MAX: u32 = 10_000;

/// Something that asks a job to change.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// A worker takes the job under a lease, and starts the next attempt.
    Claim {
        /// Who takes it.
        worker: WorkerId,
        /// How long the lease lasts without a heartbeat.
        until: Time,
    },
    /// The attempt's worker is alive.
    Heartbeat {
        /// The attempt's token.
        fence: Fence,
        /// How long the lease now lasts.
        until: Time,
    },
    /// The attempt adds to the log.
    Append {
        /// The attempt's token.
        fence: Fence,
        /// What it adds, in order.
        notes: Vec<Note>,
    },
    /// The attempt ends.
    Finish {
        /// The attempt's token.
        fence: Fence,
        /// What it adds first, in order.
        notes: Vec<Note>,
        /// How it ends.
        ending: Ending,
        /// Chance, for the jitter of a retry.
        dice: Dice,
    },
    /// Somebody wants the job to end.
    Cancel {
        /// Why, if they said.
        reason: Option<String>,
    },
    /// The lease may have lapsed.
    Lapse,
    /// The worker that holds the lease is known to be dead.
    WorkerDied,
    /// The deadline may have passed.
    Expire,
}

/// How an attempt ends, as its worker tells it.
#[derive(Clone, Debug, PartialEq)]
pub enum Ending {
    /// With a result.
    Completed(crate::Json),
    /// With an error.
    Failed {
        /// The error.
        problem: Problem,
        /// Whether to try again.
        retry: Retry,
    },
    /// It stopped because the job was cancelled.
    Cancelled,
    /// It stopped because the deadline passed.
    Expired,
    /// Handed back unfinished, because the worker is about to stop. Costs the job nothing.
    Released,
}

/// Whether a failed attempt is followed by another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// After the backoff, while attempts are left.
    Backoff,
    /// No sooner than this, while attempts are left.
    After(Duration),
    /// No sooner than in so many milliseconds, and it costs the job nothing: what it needs is closed, through no fault of
    /// its own.
    Postpone(u32),
    /// It would fail again.
    Never,
}

/// What comes of a command: the new fold, and the events that lead to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// The job's life from now on.
    pub life: Life,
    /// What to append to its log, numbered on from the last.
    pub events: Vec<Event>,
}

/// Why a command changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The job has already ended, in this state.
    #[error("the job is already {0}")]
    Finished(State),
    /// The command's fencing token is not that of the running attempt.
    #[error("the attempt has lost its lease")]
    LeaseLost,
    /// The job has recorded [`STEPS_MAX`] steps.
    #[error("the job has recorded as many steps as it may")]
    StepsFull,
    /// The job is not ready to be claimed.
    #[error("the job is not ready")]
    NotReady,
    /// Neither lease nor deadline has passed.
    #[error("its time has not come")]
    NotDue,
}

/// What happens to a job when it is told `command` at `now`.
///
/// Promises, for any sequence of commands: at most one final state is ever reached; a command with a stale token changes
/// nothing; progress never falls within an attempt; events are numbered without gaps; and attempts say no more than a log
/// holds ([`EVENTS_MAX`], [`STEPS_MAX`]).
///
/// # Errors
/// If the command does not apply to the job as it is; nothing changes then.
pub fn decide(life: &Life, rules: &Rules, command: Command, now: Time) -> Result<Decision, Refusal> {
    if life.state.is_final() {
        return Err(Refusal::Finished(life.state));
    }
    let next = Next { life: life.clone(), events: Vec::new(), rules, now };
    match command {
        Command::Claim { worker, until } => next.claim(worker, until),
        Command::Heartbeat { fence, until } => next.fenced(fence)?.heartbeat(until),
        Command::Append { fence, notes } => Ok(next.fenced(fence)?.with_room_for(&notes)?.note(notes).decided()),
        Command::Finish { fence, notes, ending, dice } => Ok(next.fenced(fence)?.note(notes).finish(ending, dice)),
        Command::Cancel { reason } => Ok(next.cancel(reason)),
        Command::Lapse if life.lease.as_ref().is_some_and(|lease| lease.until <= now) => Ok(next.lose_lease()),
        Command::WorkerDied if life.lease.is_some() => Ok(next.lose_lease()),
        Command::Expire if life.state != State::Running && rules.expired(now) => Ok(next.end(Outcome::Expired)),
        Command::Lapse | Command::WorkerDied | Command::Expire => Err(Refusal::NotDue),
    }
}

/// Whether this ending, from the attempt with this token, would complete the job.
#[must_use]
pub fn completes(life: &Life, fence: Fence, ending: &Ending) -> bool {
    life.state == State::Running && life.fence == fence && matches!(ending, Ending::Completed(_))
}

/// The decision in the making.
struct Next<'a> {
    life: Life,
    events: Vec<Event>,
    rules: &'a Rules,
    now: Time,
}

impl Next<'_> {
    fn decided(self) -> Decision {
        Decision { life: self.life, events: self.events }
    }

    fn push(&mut self, body: EventBody) {
        let is_end = body.event_type().is_final();
        self.life.last_seq += 1;
        self.events.push(Event { seq: self.life.last_seq, at: self.now, attempt: self.life.attempt, body });
        // Every number comes once, so this is said once, whatever the event that fills the log.
        if self.life.last_seq == EVENTS_MAX && !is_end {
            self.push(EventBody::LogFull(EVENTS_MAX));
        }
    }

    fn is_log_full(&self) -> bool {
        self.life.last_seq >= EVENTS_MAX
    }

    fn with_room_for(self, notes: &[Note]) -> Result<Self, Refusal> {
        let steps = notes.iter().filter(|note| matches!(note, Note::Step(_))).count();
        let room = STEPS_MAX.saturating_sub(self.life.steps);
        if u32::try_from(steps).is_ok_and(|steps| steps <= room) { Ok(self) } else { Err(Refusal::StepsFull) }
    }

    fn fenced(self, fence: Fence) -> Result<Self, Refusal> {
        if self.life.state == State::Running && self.life.fence == fence { Ok(self) } else { Err(Refusal::LeaseLost) }
    }

    fn claim(mut self, worker: WorkerId, until: Time) -> Result<Decision, Refusal> {
        if self.life.state_at(self.now) != State::Queued {
            return Err(Refusal::NotReady);
        }
        if self.rules.expired(self.now) {
            return Ok(self.end(Outcome::Expired));
        }
        self.life.state = State::Running;
        self.life.attempt += 1;
        self.life.fence = self.life.fence.next();
        self.life.progress = None;
        self.life.started_at.get_or_insert(self.now);
        let until = self.within_deadline(until);
        self.life.lease = Some(Lease { worker: worker.clone(), until });
        self.push(EventBody::Started(worker));
        Ok(self.decided())
    }

    fn within_deadline(&self, until: Time) -> Time {
        self.rules.deadline.map_or(until, |deadline| until.min(deadline.after(DEADLINE_GRACE)))
    }

    fn heartbeat(mut self, until: Time) -> Result<Decision, Refusal> {
        let until = self.within_deadline(until);
        let lease = self.life.lease.as_mut().ok_or(Refusal::LeaseLost)?;
        lease.until = lease.until.max(until);
        Ok(self.decided())
    }

    fn note(mut self, notes: Vec<Note>) -> Self {
        for note in notes {
            match note {
                Note::Progress(_) | Note::Output(_) if self.is_log_full() => {}
                // The attempt is about to end, and that end is worth more than a step which a later one does again.
                Note::Step(_) if self.life.steps >= STEPS_MAX => {}
                Note::Progress(progress) => {
                    let progress = progress.following(self.life.progress.as_ref());
                    self.life.progress = Some(progress.clone());
                    self.push(EventBody::Progress(progress));
                }
                Note::Output(output) => self.push(EventBody::Output(output)),
                Note::FollowUp(follow_up) => self.push(EventBody::FollowUp(follow_up)),
                Note::Step(step) => {
                    self.life.steps += 1;
                    self.push(EventBody::Step(step));
                }
            }
        }
        self
    }

    fn finish(mut self, ending: Ending, dice: Dice) -> Decision {
        match ending {
            // The work is done and paid for: a cancel that came too late does not throw it away.
            Ending::Completed(result) => self.end(Outcome::Completed(result)),
            _ if self.life.cancel_requested => self.end(Outcome::Cancelled(None)),
            Ending::Failed { problem, retry } => self.fail(problem, retry, dice),
            Ending::Expired if self.rules.expired(self.now) => self.end(Outcome::Expired),
            Ending::Released | Ending::Cancelled | Ending::Expired => {
                if let Some(Lease { worker, .. }) = self.life.lease.take() {
                    self.push(EventBody::Released(worker));
                }
                self.queue()
            }
        }
    }

    fn fail(mut self, problem: Problem, retry: Retry, dice: Dice) -> Decision {
        let retry_after = match retry {
            Retry::Postpone(millis) => return self.postpone(problem, Duration::from_millis(millis.into())),
            Retry::After(wait) => Some(wait),
            Retry::Backoff | Retry::Never => None,
        };
        self.life.failures += 1;
        let run_at = self.now.after(self.rules.backoff.wait(self.life.failures, retry_after, dice));
        let exhausted = self.life.failures >= self.rules.max_attempts;
        if retry == Retry::Never || exhausted || self.rules.expired(run_at) {
            return self.end(Outcome::Failed(problem));
        }
        self.push(EventBody::RetryScheduled(problem, run_at));
        self.wait_until(run_at)
    }

    /// Waits for what it needs, as long as its deadline lets it.
    fn postpone(mut self, problem: Problem, wait: Duration) -> Decision {
        let run_at = self.now.after(wait.min(Backoff::RETRY_AFTER_MAX));
        self.push(EventBody::Postponed(problem, run_at));
        self.wait_until(run_at)
    }

    fn wait_until(mut self, run_at: Time) -> Decision {
        self.life.state = State::Waiting;
        self.life.lease = None;
        self.life.run_at = run_at;
        self.decided()
    }

    fn cancel(mut self, reason: Option<String>) -> Decision {
        if self.life.state != State::Running {
            return self.end(Outcome::Cancelled(reason));
        }
        if !self.life.cancel_requested {
            self.life.cancel_requested = true;
            self.push(EventBody::CancelRequested(reason));
        }
        self.decided()
    }

    fn lose_lease(mut self) -> Decision {
        self.life.lease_losses += 1;
        if let Some(Lease { worker, .. }) = self.life.lease.take() {
            self.push(EventBody::LeaseLost(worker));
        }
        if self.life.cancel_requested {
            self.end(Outcome::Cancelled(None))
        } else if self.life.lease_losses >= LEASE_LOSSES_MAX {
            let detail = format!(
                "its worker died or stalled {LEASE_LOSSES_MAX} times while running it, so it is likely the cause; \
                 look at the workers' logs, then retry it"
            );
            self.end(Outcome::Failed(Problem::new(ProblemType::QUARANTINED, detail)))
        } else if self.rules.expired(self.now) {
            self.end(Outcome::Expired)
        } else {
            self.queue()
        }
    }

    fn queue(mut self) -> Decision {
        self.life.state = State::Queued;
        self.life.lease = None;
        self.life.run_at = self.now;
        self.decided()
    }

    fn end(mut self, outcome: Outcome) -> Decision {
        self.life.state = match outcome {
            Outcome::Completed(_) => State::Completed,
            Outcome::Failed(_) => State::Failed,
            Outcome::Cancelled(_) => State::Cancelled,
            Outcome::Expired => State::Expired,
        };
        self.life.lease = None;
        self.life.finished_at = Some(self.now);
        self.life.expires_at = Some(self.now.after(Duration::from_millis(self.rules.retention_ms)));
        self.push(EventBody::Finished(outcome));
        self.decided()
    }
}

#[cfg(test)]
mod tests;
