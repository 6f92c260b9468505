//! Jobs over HTTP.

mod batch;
mod cancel;
mod delete;
mod events;
mod files;
mod follow;
mod get;
mod idempotency;
mod list;
mod request;
mod result;
mod retry;
mod socket;
pub(crate) mod sse;
mod submit;
mod view;

pub(crate) use batch::{BatchReply, BatchRequest, submit_batch};
pub(crate) use cancel::{CancelRequest, cancel};
pub(crate) use delete::delete;
pub(crate) use events::{EventsPage, events, last_event_id, wants_stream};
pub(crate) use files::file;
pub(crate) use follow::{Follower, Next};
pub(crate) use get::get;
pub(crate) use idempotency::{IDEMPOTENCY_REPLAYED, IdempotencyKey, marked};
pub(crate) use list::{Cursor, JobsPage, cursor, list};
pub(crate) use request::JobRequest;
pub(crate) use result::result;
pub(crate) use retry::retry;
pub(crate) use submit::{Wait, accepted, answered, submit};
pub(crate) use view::{ErrorSchema, JobView, StateSchema, StepView, error};
