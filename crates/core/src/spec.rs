use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Backoff, ConcurrencyKey, JobId, Kind, Lane, Priority, QueueName, Tenant, Time, Turn, Webhook};

/// How long a finished job stays readable unless told otherwise: 7 days.
pub const RETENTION_DEFAULT: Duration = Duration::from_secs(7 * 24 * 3600);

/// Free words on a job by which it can be found again.
pub type Labels = BTreeMap<String, String>;

/// What was asked for: the part of a job that never changes, but for the input, which is kept apart because it may be
/// large. It is the body of the first event of every log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spec {
    /// What sort of work.
    pub kind: Kind,
    /// Where it waits.
    pub queue: QueueName,
    /// The upstream that it needs, if its kind has such.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lane: Option<Lane>,
    /// Of the tenant's jobs with this key no more than one is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency_key: Option<ConcurrencyKey>,
    /// How urgent it is within the queue.
    pub priority: Priority,
    /// Whose it is.
    pub tenant: Tenant,
    /// Free words to find it by.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: Labels,
    /// When it was accepted.
    pub created_at: Time,
    /// Not before this.
    pub run_at: Time,
    /// How often it may fail before it has failed.
    pub max_attempts: u32,
    /// The longest that one attempt may take, in milliseconds.
    pub timeout_ms: u64,
    /// After this it is not started any more, and a running attempt is ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Time>,
    /// The waits between attempts.
    pub backoff: Backoff,
    /// How long it stays readable once finished, in milliseconds.
    pub retention_ms: u64,
    /// The finished job that this one does anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_of: Option<JobId>,
    /// The job that asked for this one when it completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<JobId>,
    /// The turn of a conversation that it gives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn: Option<Turn>,
    /// Who is told of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<Webhook>,
}

impl Spec {
    /// It gives this turn, one after the other with the others of the conversation.
    pub fn take_turn(&mut self, turn: Turn) {
        self.concurrency_key = Some(turn.conversation.concurrency_key());
        self.turn = Some(turn);
    }

    /// The part that [`crate::decide`] looks at.
    #[must_use]
    pub fn rules(&self) -> Rules {
        Rules {
            max_attempts: self.max_attempts,
            backoff: self.backoff,
            deadline: self.deadline,
            retention_ms: self.retention_ms,
            is_told: self.webhook.as_ref().is_some_and(Webhook::wants_end),
        }
    }
}

/// The part of a [`Spec`] by which the state machine decides; small, so that a store can keep it with the hot row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// See [`Spec::max_attempts`].
    pub max_attempts: u32,
    /// See [`Spec::backoff`].
    pub backoff: Backoff,
    /// See [`Spec::deadline`].
    pub deadline: Option<Time>,
    /// See [`Spec::retention_ms`].
    pub retention_ms: u64,
    /// Whether its end is told to a webhook. Nothing is decided by it; a store notes what is to be told with the end.
    pub is_told: bool,
}

impl Rules {
    /// Whether the deadline has passed.
    #[must_use]
    pub fn expired(&self, now: Time) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= now)
    }
}
