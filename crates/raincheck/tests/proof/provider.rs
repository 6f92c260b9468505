//! A simulated provider and a server that calls it.

use std::time::Duration;

use raincheck_simulator::{Behaviour, Dialect, Distribution, SimConfig, Simulator};
use tokio::runtime::Runtime;

use super::http::Http;
use super::job;
use super::server::{Launch, Server};
use super::trial::within;
use crate::support::Place;

/// The key of every upstream: it must be nowhere but at the provider.
pub(crate) const CANARY: &str = "sk-canary-4711";

/// An upstream of every protocol, by its name in the configuration.
const UPSTREAMS: [(&str, Dialect); 5] = [
    ("openai", Dialect::Openai),
    ("anthropic", Dialect::Anthropic),
    ("fal", Dialect::Fal),
    ("replicate", Dialect::Replicate),
    ("http", Dialect::Http),
];

/// A simulated provider in this process, and a server that calls it.
pub(crate) struct Stage {
    pub(crate) place: Place,
    pub(crate) server: Server,
    pub(crate) simulator: Simulator,
    _runtime: Runtime,
}

impl Stage {
    /// Calls take as long as `call_ms`; `settings` are added to those of every upstream.
    pub(crate) fn new(call_ms: f64, settings: &str) -> Self {
        Self::launched(call_ms, settings, "", |launch| launch)
    }

    /// With other sections in the server's configuration, and other settings of its process.
    pub(crate) fn launched(
        call_ms: f64,
        settings: &str,
        sections: &str,
        change: impl FnOnce(Launch) -> Launch,
    ) -> Self {
        let behaviour = Behaviour { call_ms: Some(Distribution::Constant(call_ms)), ..Behaviour::default() };
        Self::of(SimConfig { behaviour, ..SimConfig::default() }, settings, sections, change)
    }

    /// With any simulator.
    pub(crate) fn of(config: SimConfig, settings: &str, sections: &str, change: impl FnOnce(Launch) -> Launch) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let address = "127.0.0.1:0".parse().expect("an address");
        let simulator = runtime.block_on(Simulator::start(config, address)).expect("the simulator starts");
        let place = Place::new();
        let section = |(name, dialect): (&str, Dialect)| {
            let url = simulator.url(dialect);
            format!(
                "[upstream.{name}]\nprotocol = \"{name}\"\nbase_url = \"{url}\"\napi_key = \"{CANARY}\"\n{settings}\n"
            )
        };
        let file: String = UPSTREAMS.into_iter().map(section).collect();
        std::fs::write(
            place.log().parent().expect("a directory").join("raincheck.toml"),
            format!("{sections}\n{file}"),
        )
        .expect("write the file");
        let server = change(Launch::at(&place)).start();
        Self { place, server, simulator, _runtime: runtime }
    }

    pub(crate) fn submit(&self, body: &str) -> String {
        let answer = self.server.http().submit("", body).expect("an answer");
        assert_eq!(answer.status, 202, "{answer}");
        answer.id()
    }

    /// Work that providers of all dialects began.
    pub(crate) fn executions(&self) -> u64 {
        self.simulator.ledger().total.executions
    }

    /// Waits until the provider is at work, and the server has recorded that.
    pub(crate) fn in_mid_call(&mut self, id: &str) {
        within(Duration::from_secs(10), "the provider is at work", || (self.executions() == 1).then_some(()));
        let recorded = |http: &mut Http| job::log(http, id).len() >= 2;
        within(Duration::from_secs(10), "the call is under way", || recorded(&mut self.server.http()).then_some(()));
        std::thread::sleep(Duration::from_millis(300));
    }

    /// Kills the server while the provider is at work, and starts it again.
    pub(crate) fn die_in_mid_call(&mut self, id: &str) {
        self.in_mid_call(id);
        self.server.kill();
        self.server.start_again();
    }
}
