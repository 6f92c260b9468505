//! The rules of Raincheck, as pure code: what a job is, which states it may pass through, when it is tried again, who is
//! served next, and what a client is told when something is refused.
//!
//! This crate never reads a clock, rolls a die, opens a file or waits: time and chance are arguments. Every store runs
//! [`decide`] for each change of a job, so there is one place that says what may happen to one, and the same rules hold
//! on every backend and under simulation.
//!
//! ```text
//!  Command ──► decide(&Life, Command, now) ──► Decision { life, events }
//!                                               │        └─ appended to the job's log, numbered without gaps
//!                                               └─ the next fold of that log
//! ```

mod concurrency_key;
mod conversation;
mod decide;
mod event;
mod fair;
mod follow_up;
pub mod gate;
mod id;
mod job;
mod json;
mod misfit;
mod name;
mod picture;
mod priority;
mod problem;
mod progress;
mod ready;
mod retry;
mod spec;
mod state;
mod time;
mod webhook;

pub use concurrency_key::{CONCURRENCY_KEY_LENGTH_MAX, ConcurrencyKey, ConcurrencyKeyError};
pub use conversation::{Conversation, ConversationId, Message, MessageId, MessageState, Role, Summary, Turn};
pub use decide::{
    Command, DEADLINE_GRACE, Decision, EVENTS_MAX, Ending, LEASE_LOSSES_MAX, Refusal, Retry, STEPS_MAX, completes,
    decide,
};
pub use event::{Event, EventBody, EventError, EventType, Note};
pub use fair::{FairQueue, LOWER_PRIORITY_SHARE};
pub use follow_up::{Became, FollowUp};
pub use id::{Fence, IdError, JobId, JobKey, Minter, WorkerId};
pub use job::{Job, Lease, Life, Outcome, StepRecord};
pub use json::Json;
pub use misfit::Misfit;
pub use name::{Kind, Lane, NAME_LENGTH_MAX, NameError, QueueName, Tenant};
pub use picture::Picture;
pub use priority::{Priority, PriorityError};
pub use problem::{Class, Problem, ProblemType};
pub use progress::{MESSAGE_LENGTH_MAX, Progress};
pub use ready::{Line, Openings, Place, ReadySet, Want};
pub use retry::{Backoff, Dice};
pub use spec::{Labels, RETENTION_DEFAULT, Rules, Spec};
pub use state::{State, StateError, mermaid};
pub use time::Time;
pub use webhook::{WEBHOOK_URL_MAX, Webhook, WebhookEvent, WebhookForm, redelivered_after};
