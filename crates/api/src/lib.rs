//! HTTP front doors: turns HTTP into jobs and logs into HTTP.
//!
//! The only room that knows axum and status codes. It decides nothing about jobs: what may happen to one is decided in
//! [`raincheck_core`], and done by the [`raincheck_engine`]. It keeps no state of its own but a short memory of API keys
//! and counters for `/metrics`, and never reads a store's files, the environment or a configuration.
//!
//! ```text
//! socket ─► serve (time-outs, limits) ─► door (host, metrics) ─► Caller (key, scope) ─► handler ─► Engine
//!                                                                                          └─► JSON, SSE or a problem
//! ```

mod anthropic;
mod api;
mod auth;
mod body;
mod conversations;
mod dialect;
mod door;
mod doors;
mod fal;
mod files;
mod health;
mod identity;
mod jobs;
mod json;
pub mod keys;
mod kinds;
mod leases;
mod links;
mod metrics;
mod multipart;
mod number;
mod openai;
mod openapi;
mod path;
mod prefer;
mod problem;
mod query;
mod queues;
mod recipes;
mod replicate;
mod reply;
mod router;
mod serve;
mod settings;
mod tls;
mod upstreams;
mod wait;
mod webhooks;
mod websocket;

pub use axum::Router;
pub use doors::{Doors, NotPassed, OwnKey, Passage, Passed, PassedBody};
pub use identity::Identity;
pub use links::Links;
pub use problem::ApiError;
pub use router::{listed, router, routes_within};
pub use serve::serve;
pub use settings::ApiSettings;
pub use tls::{Tls, TlsError};
