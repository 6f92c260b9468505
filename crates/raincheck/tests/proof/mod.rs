//! The promises, each with a test that tries to show it broken: the real binary, real HTTP, real SQLite, real faults.
//! docs/promises.md names the test of every promise.
//!
//! `RAINCHECK_PROOF_ROUNDS=50 cargo nextest run -p raincheck proof --profile long` tries everything fifty times as hard;
//! `RAINCHECK_PROOF_SEED=123` draws other chances. Each test prints what it did (`--no-capture` shows it).

mod cancel;
mod conversations;
mod damaged;
mod disk_full;
mod documented;
mod failed_sync;
mod follow;
mod http;
mod job;
mod kill;
mod malformed;
mod openapi;
mod paid_once;
mod paused;
mod power_cut;
mod provider;
mod recovery;
mod responsive;
mod same_key;
mod secrets;
mod server;
mod stage;
mod stopped_worker;
mod trial;
mod upstream;
mod webhooks;

pub(crate) use trial::{allowed, now, percentile, within};
pub(crate) use webhooks::{Heard, hear};
