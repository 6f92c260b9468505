//! Jobs for workers in other processes: docs/worker-protocol.md.

mod attempt;
mod claim;
mod events;
mod finish;
mod heartbeat;

pub(crate) use claim::{ClaimReply, LeaseRequest, claim};
pub(crate) use events::{AppendReply, AppendRequest, append};
pub(crate) use finish::{FinishReply, FinishRequest, finish};
pub(crate) use heartbeat::{HeartbeatReply, HeartbeatRequest, heartbeat};
