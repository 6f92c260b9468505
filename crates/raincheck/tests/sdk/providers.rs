//! The whole way: an SDK at a door, the gate, and a provider's own queue behind it, here the simulator's. What the provider says of
//! its work comes to the client, and a client's cancel to the provider.

use raincheck_simulator::{Behaviour, Dialect, Distribution, SimConfig, Simulator};
use tokio::runtime::Runtime;

use super::{drive, node, python};
use crate::support::{Authority, Place, Server};

/// A provider that takes its time, so that it is seen to queue and to work.
struct Provider {
    simulator: Simulator,
    dialect: Dialect,
    _runtime: Runtime,
}

impl Provider {
    fn start(dialect: Dialect) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let behaviour = Behaviour {
            queue_ms: Some(Distribution::Constant(1_200.0)),
            call_ms: Some(Distribution::Constant(3_000.0)),
            output_tokens: Some(Distribution::Constant(4.0)),
            ..Behaviour::default()
        };
        let config = SimConfig { behaviour, ..SimConfig::default() };
        let address = "127.0.0.1:0".parse().expect("an address");
        let simulator = runtime.block_on(Simulator::start(config, address)).expect("the simulator starts");
        Self { simulator, dialect, _runtime: runtime }
    }

    /// The server's configuration, with this provider as its only upstream.
    fn config(&self, protocol: &str) -> String {
        let url = self.simulator.url(self.dialect);
        format!(
            "[limits]\nwait = \"2s\"\n[upstream.provider]\nprotocol = \"{protocol}\"\nbase_url = \"{url}\"\napi_key = \"any\"\n"
        )
    }

    /// Checks that it did so many works, and ended those that were cancelled.
    fn check(&self, executions: u64, cancelled: u64) {
        let tally = self.simulator.ledger().dialects[&self.dialect];
        let found = (tally.executions, tally.completed, tally.cancelled, tally.under_way);
        assert_eq!(found, (executions, executions - cancelled, cancelled, 0), "{tally:?}");
    }
}

fn fal(place: &Place) -> (Provider, Server, Authority) {
    let provider = Provider::start(Dialect::Fal);
    let authority = Authority::new(place);
    let config = place.file("provider.toml", &provider.config("fal"));
    let flags = [&authority.flags()[..], &["--config", config.to_str().expect("a plain path")]].concat();
    (provider, Server::start(place, &flags), authority)
}

fn replicate(place: &Place) -> (Provider, Server) {
    let provider = Provider::start(Dialect::Replicate);
    let server = Server::configured(place, &provider.config("replicate"));
    (provider, server)
}

#[test]
fn fal_client_for_python_and_a_queue_of_fals() {
    let place = Place::new();
    let (provider, server, authority) = fal(&place);
    let host = format!("localhost:{}", server.address.port());
    let mut script = python("fal-client-1.0.3", "fal_provider.py");
    script.env("FAL_KEY", "any:key").env("SSL_CERT_FILE", &authority.authority);
    script.env("FAL_QUEUE_RUN_HOST", format!("{host}/fal")).env("FAL_RUN_HOST", format!("{host}/fal/run"));
    drive(&mut script, &place);
    provider.check(2, 1);
}

#[test]
fn fal_client_for_node_and_a_queue_of_fals() {
    let place = Place::new();
    let (provider, server, authority) = fal(&place);
    let mut script = node("fal-ai-client-1.10.1", "fal_provider.cjs");
    script.env("NODE_EXTRA_CA_CERTS", &authority.authority);
    script.env("RAINCHECK", format!("https://localhost:{}", server.address.port()));
    drive(&mut script, &place);
    provider.check(2, 1);
}

#[test]
fn replicate_for_python_and_predictions_of_replicates() {
    let place = Place::new();
    let (provider, server) = replicate(&place);
    let mut script = python("replicate-1.0.7", "replicate_provider.py");
    script.env("REPLICATE_API_TOKEN", "any").env("REPLICATE_BASE_URL", format!("{}/replicate", server.url()));
    drive(&mut script, &place);
    provider.check(3, 1);
}

#[test]
fn replicate_for_node_and_predictions_of_replicates() {
    let place = Place::new();
    let (provider, server) = replicate(&place);
    let mut script = node("replicate-1.4.0", "replicate_provider.cjs");
    script.env("REPLICATE_API_TOKEN", "any").env("RAINCHECK", format!("{}/replicate/v1", server.url()));
    drive(&mut script, &place);
    provider.check(3, 1);
}
