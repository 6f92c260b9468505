//! What a store of jobs promises, the in-memory model of it, and the suite that holds every store to the promise.
//!
//! A store keeps the logs of jobs and the folds of those logs. It decides nothing itself: every change of a job goes
//! through [`raincheck_core::decide`], and every write of a running attempt carries its fencing token. Time and chance
//! come in as arguments; a store never reads a clock.
//!
//! When a call that changes something returns `Ok`, the change is on stable storage and survives a power cut. When it
//! returns an error, [`StoreError::outcome`] tells whether it happened.
//!
//! This crate knows no database and no HTTP.

#[cfg(feature = "conformance")]
pub mod conformance;
mod contract;
mod conversation;
mod delivery;
mod error;
mod idempotency;
mod key;
mod memory;
mod observer;

pub use contract::{
    Acceptance, Append, Beat, Beaten, Besides, Cancel, Cancelled, ClaimRequest, Claimed, Claims, FOLLOW_UPS_MAX,
    Filter, Finish, IDEMPOTENCY_WINDOW, Idempotency, Limits, ListPage, LogPage, NewJob, QueueStatus, Store, Swept,
    followed_up,
};
pub use conversation::{
    CONVERSATION_DELETED, ConversationRefusal, Conversations, ConversationsPage, MESSAGE_BYTES_MAX, METADATA_BYTES_MAX,
    MessagesPage, MessagesRead, NewConversation, NewMessage, NewSummary, NewTurn, Order, SUMMARIES_MAX,
};
pub use delivery::{
    DELIVERIES_LOOKED_AT, Delivery, DeliveryRequest, DeliveryState, Due, DueDeliveries, Then, Tried, UNHEARD,
    UNHEARD_MAX, WebhookSecrets,
};
pub use error::{Outcome, StoreError};
pub use idempotency::{IdempotencyIndex, Known};
pub use key::{ApiKey, Scope, ScopeError};
pub use memory::MemoryStore;
pub use observer::{Change, Observer, Silent};
