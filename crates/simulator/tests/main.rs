//! The simulator from outside, over real sockets and with no client but our own few lines, so that what is broken on
//! purpose can be seen as it is.

mod client;
mod control;
mod dialects;
mod faults;
mod openai;

use std::net::SocketAddr;

use raincheck_simulator::{SimConfig, Simulator};

/// A free port of this machine.
const ANYWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// A simulator of this configuration.
async fn simulator(config: &str) -> Simulator {
    Simulator::start(SimConfig::from_json(config).unwrap(), ANYWHERE).await.unwrap()
}

/// Work that takes no time.
const QUICK: &str = r#"{"behaviour": {"first_token_ms": {"constant": 0}, "per_token_ms": {"constant": 0},
    "queue_ms": {"constant": 0}, "output_tokens": {"constant": 12}}}"#;
