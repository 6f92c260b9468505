//! The one way out: every call that Raincheck makes to a slow API goes through here, past the gate of its (upstream, model)
//! and through the egress client. It knows how providers address, authenticate, refuse and count; it knows no jobs, no store
//! and no HTTP server. No other room opens an outgoing connection.
//!
//! ```text
//! Upstreams ─► route(protocol, model) ─► Route ─► Gate ─► Permit ─► Upstream::send ─► Answer (body: Metered)
//!                                                  ▲                                   │ usage, end, stall
//!                                                  └──────────── settle ◄──────────────┘
//! ```

mod account;
mod answer;
mod config;
mod credentials;
mod egress;
mod estimate;
mod failure;
mod fetcher;
mod gate;
mod headers;
mod mask;
mod messenger;
mod metered;
mod own_key;
mod passage;
mod price;
mod protocol;
mod route;
mod secret;
mod send;
mod spent;
mod sse;
mod tokens;
mod upload;
mod upstreams;
mod usage;
mod written;

pub use answer::Answer;
pub use config::{OnAmbiguous, Patience, UpstreamConfig};
pub use egress::{BadNetwork, Egress, Network};
pub use estimate::estimate;
pub use failure::CallFailure;
pub use fetcher::{FetchFailure, Fetched, Fetcher};
pub use gate::{Ahead, Closed, Gate, GateStatus, Permit, Setback, Try, Used, Why};
pub use messenger::{Answered, Messenger};
pub use metered::Metered;
pub use own_key::NoOwnKey;
pub use passage::PassFailure;
pub use price::{Price, PriceError, Prices};
pub use protocol::Protocol;
pub use route::{Route, RouteError, Served};
pub use secret::Secret;
pub use send::Request;
pub use sse::{Frame, Frames, FramesError};
pub use upload::Upload;
pub use upstreams::{UpstreamStatus, Upstreams};
pub use usage::Usage;
