//! Plainly a simulator: stands in for AI providers, slow and faulty on demand. Nothing here is real.
//!
//! It speaks OpenAI, Anthropic, FAL's queue, Replicate and plain HTTP on one address, under a prefix each. What it answers
//! comes from a seed and the request; how long it takes, what goes wrong and which limits hold are configured; what it was
//! asked, did and would have billed is in its ledger. Tests and load run against it, and users drill with it.
//!
//! ```text
//! socket ─► serve ─► Inbound (read, noted) ─► begin (key, fault, limit) ─► Work ─► json / stream ─► socket
//!             ▲                                                              │           └─ faults on the way
//!             └────────── a reset cuts the line                              └─ Execution: an entry of the ledger
//! ```
//!
//! It knows none of our other rooms, and opens no connection.

mod answer;
mod anthropic;
mod config;
mod content;
mod control;
mod distribution;
mod draw;
mod emitter;
mod fal;
mod fault;
mod files;
mod generic;
mod headers;
mod idempotency;
mod inbound;
mod jobs;
mod ledger;
mod limiter;
mod line;
mod openai;
mod picture;
mod plan;
mod refusal;
mod replicate;
mod requests;
mod rules;
mod serve;
mod sim;
mod structured;
mod work;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;

pub use config::{
    Behaviour, Dialect, EPOCH_DEFAULT, FAULT_RULES_MAX, Limits, OVERRIDES_MAX, Override, SimConfig, Wrong,
};
pub use distribution::Distribution;
pub use fault::{Fault, FaultKind, RetryAfter};
pub use files::{FILES_BYTES_MAX, FILES_MAX};
pub use idempotency::IDEMPOTENCY_KEYS_MAX;
pub use inbound::BODY_BYTES_MAX;
pub use jobs::{JOBS_BYTES_MAX, JOBS_MAX};
pub use ledger::{KEY_BYTES_MAX, LEDGER_KEYS_MAX, Ledger, Tally};
pub use limiter::{LIMITED_MODELS_MAX, Usage};
pub use picture::PICTURE_SIDE_MAX;
pub use plan::OUTPUT_TOKENS_MAX;
pub use requests::{LOGGED_BODY_BYTES_MAX, LOGGED_HEADER_BYTES_MAX, REQUESTS_MAX, REQUESTS_SHOWN_MAX, Received};
pub use rules::{FaultRule, On};
pub use serve::CONNECTIONS_MAX;
pub use sim::REPETITIONS_MAX;

use sim::Sim;

/// A simulator that runs. Dropped, it stops in the background.
#[derive(Debug)]
pub struct Simulator {
    sim: Arc<Sim>,
    address: SocketAddr,
    serving: TaskTracker,
}

/// Why a simulator does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration makes no sense.
    #[error(transparent)]
    Config(#[from] Wrong),
    /// The address cannot be listened on.
    #[error("failed to listen: {0}")]
    Listen(#[from] io::Error),
}

impl Simulator {
    /// Starts on this address; port 0 takes a free one.
    ///
    /// # Errors
    /// If the configuration makes no sense, or the address cannot be listened on.
    pub async fn start(config: SimConfig, address: SocketAddr) -> Result<Self, StartError> {
        config.check()?;
        Self::serve(config, TcpListener::bind(address).await?)
    }

    /// Starts on an address that is listened on already.
    ///
    /// # Errors
    /// If the configuration makes no sense.
    pub fn serve(config: SimConfig, listener: TcpListener) -> Result<Self, StartError> {
        let (sim, address) = (Sim::new(config)?, listener.local_addr()?);
        let router = control::router()
            .merge(openai::router())
            .merge(anthropic::router())
            .merge(fal::router())
            .merge(replicate::router())
            .merge(generic::router())
            .with_state(Arc::clone(&sim));
        let serving = TaskTracker::new();
        drop(serving.spawn(serve::serve(listener, router, Arc::clone(&sim))));
        Ok(Self { sim, address, serving })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address of a dialect, as clients take it for their base URL.
    #[must_use]
    pub fn url(&self, dialect: Dialect) -> String {
        let path = match dialect {
            Dialect::Openai => "/openai/v1",
            // Its clients add the version themselves.
            Dialect::Anthropic => "/anthropic",
            Dialect::Fal => "/fal",
            Dialect::Replicate => "/replicate/v1",
            Dialect::Http => "/http",
        };
        format!("http://{}{path}", self.address)
    }

    /// What it counted.
    #[must_use]
    pub fn ledger(&self) -> Ledger {
        self.sim.ledger()
    }

    /// The requests after a number, oldest first.
    #[must_use]
    pub fn requests(&self, after: u64) -> Vec<Received> {
        self.sim.requests().after(after, REQUESTS_SHOWN_MAX)
    }

    /// The bytes of a file that was uploaded, if it is kept.
    #[must_use]
    pub fn file(&self, id: &str) -> Option<Vec<u8>> {
        self.sim.files().get(id).map(|file| file.content.to_vec())
    }

    /// Forgets all files, as a provider does when their time has come.
    pub fn forget_files(&self) {
        *self.sim.files() = files::Files::default();
    }

    /// What is configured.
    #[must_use]
    pub fn config(&self) -> SimConfig {
        SimConfig::clone(&self.sim.config())
    }

    /// Replaces the configuration, and with it all rules for faults.
    ///
    /// # Errors
    /// If it makes no sense; then all stays as it was.
    pub fn configure(&self, config: SimConfig) -> Result<(), Wrong> {
        self.sim.configure(config)
    }

    /// Puts further rules for faults in force.
    ///
    /// # Errors
    /// If they make no sense, or are too many.
    pub fn add_faults(&self, rules: Vec<FaultRule>) -> Result<(), Wrong> {
        rules.iter().try_for_each(FaultRule::check)?;
        self.sim.rules().add(rules, tokio::time::Instant::now())
    }

    /// Ends all faults but those that requests ask for.
    pub fn clear_faults(&self) {
        self.sim.rules().clear();
    }

    /// As after the start: nothing counted, kept or set, but for the configuration.
    pub fn reset(&self) {
        self.sim.reset();
    }

    /// Stops, and closes all connections.
    pub async fn stop(self) {
        self.sim.stopping.cancel();
        self.serving.close();
        self.serving.wait().await;
        self.sim.tasks.close();
        self.sim.tasks.wait().await;
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.sim.stopping.cancel();
    }
}
