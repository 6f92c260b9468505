use std::time::Duration;

use raincheck_core::{
    ConcurrencyKey, Job, JobId, Json, Kind, Labels, Priority, Problem, ProblemType, QueueName, RETENTION_DEFAULT, Spec,
    Tenant, Time, Webhook,
};
use raincheck_store::{Idempotency, StoreError};

use crate::{About, TurnWish};

/// The most attempts that a job may ask for.
const MAX_ATTEMPTS_MAX: u32 = 100;
/// The longest time-out, delay or retention that a job may ask for: a year.
const DURATION_MAX: Duration = Duration::from_secs(366 * 24 * 3600);

/// How long a job with a webhook is kept at least: with it goes what its webhook was not told yet.
const RETENTION_TOLD_MIN: Duration = Duration::from_secs(3600);

/// A wish for a job. What is left out is chosen by the kind.
#[derive(Clone, Debug)]
pub struct Submission {
    /// What sort of work.
    pub kind: Kind,
    /// What the handler is given.
    pub input: Json,
    /// Whose it is.
    pub tenant: Tenant,
    /// Where it waits; the queue of the kind's name if left out.
    pub queue: Option<QueueName>,
    /// Of the tenant's jobs with this key no more than one is under way.
    pub concurrency_key: Option<ConcurrencyKey>,
    /// How urgent it is within the queue.
    pub priority: Priority,
    /// Free words to find it by.
    pub labels: Labels,
    /// Not before this.
    pub run_at: Option<Time>,
    /// After this it is not started any more.
    pub deadline: Option<Time>,
    /// How often it may fail before it has failed.
    pub max_attempts: Option<u32>,
    /// The longest that one attempt may take.
    pub timeout: Option<Duration>,
    /// How long it stays readable once finished.
    pub retention: Option<Duration>,
    /// The caller's own name for the request.
    pub idempotency: Option<Idempotency>,
    /// The finished job that this one does anew.
    pub retry_of: Option<JobId>,
    /// Who is told of it.
    pub webhook: Option<Webhook>,
    /// What the user says in a conversation, if the job is to answer it. The turns of a conversation come one after the other,
    /// so that there can be no other concurrency key.
    pub turn: Option<TurnWish>,
}

impl Submission {
    /// A wish for a job of this kind, with everything else left to the defaults.
    #[must_use]
    pub fn new(kind: Kind, input: Json) -> Self {
        Self {
            kind,
            input,
            tenant: Tenant::default(),
            queue: None,
            concurrency_key: None,
            priority: Priority::default(),
            labels: Labels::new(),
            run_at: None,
            deadline: None,
            max_attempts: None,
            timeout: None,
            retention: None,
            idempotency: None,
            retry_of: None,
            webhook: None,
            turn: None,
        }
    }

    /// What is asked for, with everything filled in.
    ///
    /// # Errors
    /// If something is asked for that cannot be.
    pub(crate) fn spec(&self, about: &About, now: Time) -> Result<Spec, Problem> {
        let invalid = |pointer: &str, detail: &str| Problem::new(ProblemType::INVALID_REQUEST, detail).at(pointer);
        let max_attempts = self.max_attempts.unwrap_or(about.max_attempts);
        if !(1..=MAX_ATTEMPTS_MAX).contains(&max_attempts) {
            return Err(invalid("/max_attempts", "max_attempts must be from 1 to 100"));
        }
        let retention = self.retention.unwrap_or(RETENTION_DEFAULT);
        let timeout = self.timeout.unwrap_or(about.timeout);
        if timeout.is_zero() || timeout > DURATION_MAX {
            return Err(invalid("/timeout", "timeout must be more than 0 and at most 366 days"));
        }
        if retention > DURATION_MAX {
            return Err(invalid("/retention", "retention must be at most 366 days"));
        }
        if self.webhook.is_some() && retention < RETENTION_TOLD_MIN {
            let detail = "a job with a webhook is kept for at least an hour, so that there is time to tell it";
            return Err(invalid("/retention", detail));
        }
        if let Some(turn) = &self.turn {
            turn.check()?;
            if self.concurrency_key.is_some() {
                let detail = "the turns of a conversation have a concurrency key of their own; leave this out";
                return Err(invalid("/concurrency_key", detail));
            }
        }
        let run_at = self.run_at.unwrap_or(now).max(now);
        if run_at > now.after(DURATION_MAX) {
            return Err(invalid("/run_at", "run_at must be within 366 days"));
        }
        if self.deadline.is_some_and(|deadline| deadline <= run_at) {
            return Err(invalid("/deadline", "the deadline must be later than now and than run_at"));
        }
        Ok(Spec {
            kind: self.kind.clone(),
            queue: self.queue.clone().unwrap_or_else(|| QueueName::from(&self.kind)),
            concurrency_key: self.concurrency_key.clone(),
            priority: self.priority,
            tenant: self.tenant.clone(),
            labels: self.labels.clone(),
            created_at: now,
            run_at,
            max_attempts,
            timeout_ms: u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX).max(1),
            deadline: self.deadline,
            backoff: about.backoff,
            retention_ms: u64::try_from(retention.as_millis()).unwrap_or(u64::MAX),
            lane: None,
            retry_of: self.retry_of,
            parent: None,
            turn: None,
            webhook: self.webhook.clone(),
        })
    }
}

/// What became of a wish for a job.
#[derive(Clone, Debug, PartialEq)]
pub enum Submitted {
    /// The job is accepted and durable.
    New(Job),
    /// It was accepted before, under the same idempotency key.
    Existing(Job),
}

impl Submitted {
    /// The job.
    #[must_use]
    pub fn job(&self) -> &Job {
        let (Self::New(job) | Self::Existing(job)) = self;
        job
    }
}

/// Why a wish for a job was not granted.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SubmitError {
    /// It cannot be granted as it is.
    #[error("{0}")]
    Refused(Problem),
    /// Too many jobs wait already.
    #[error("{waiting} jobs are waiting, and {limit} may; retry in {retry_after:?}")]
    Quota {
        /// How many wait.
        waiting: usize,
        /// How many may.
        limit: usize,
        /// When a place is likely to be free, by the rate at which jobs have been starting.
        retry_after: Duration,
    },
    /// The store did not, or may not have, done it.
    #[error("{0}")]
    Store(#[from] StoreError),
}
