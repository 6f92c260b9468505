use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use super::calls::{self, Mode};
use super::{Load, Spent};
use crate::failure::Fallible;
use crate::figures::Figures;
use crate::http::Connection;
use crate::load::{Counted, Requests};
use crate::server::Server;

/// Where the simulator speaks OpenAI's dialect.
const SIMULATED: &str = "/openai/v1";
/// As many calls at once as no load makes: the adaptive limit begins with 4 and finds out how many a provider takes, which is
/// not what is measured.
const CONCURRENCY: usize = 1_024;
/// Calls before anything is measured, in either mode.
const WARM_UP: u64 = 50;

/// One of the ways to the simulator, and what was measured of it.
pub(crate) struct Contestant {
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
    pub(crate) figures: Figures,
    /// Its processes; `None` for no gateway at all.
    server: Option<Server>,
    /// What it is asked.
    whole: Requests,
    long: Requests,
    streamed: Requests,
}

/// The simulator's base address, as a provider's.
pub(crate) fn base_url(simulator: &Server) -> String {
    format!("http://{}{SIMULATED}", simulator.address)
}

impl Contestant {
    /// A gateway that is called by this path, with these headers.
    pub(crate) fn new(name: &str, server: Server, path: &str, headers: &str) -> Self {
        let address = server.address;
        Self { server: Some(server), ..Self::at(name, address, path, headers) }
    }

    /// The simulator itself.
    pub(crate) fn direct(simulator: &Server) -> Self {
        let path = format!("{SIMULATED}/chat/completions");
        Self::at("direct", simulator.address, &path, "authorization: Bearer sk-bench\r\n")
    }

    fn at(name: &str, address: SocketAddr, path: &str, headers: &str) -> Self {
        Self {
            name: name.to_owned(),
            address,
            figures: Figures::default(),
            server: None,
            whole: calls::requests(path, headers, Mode::Whole),
            long: calls::requests(path, headers, Mode::Long),
            streamed: calls::requests(path, headers, Mode::Streamed),
        }
    }

    /// `raincheck serve`, on a data directory of its own.
    pub(crate) async fn raincheck(simulator: &Server, scratch: &Path) -> Fallible<Self> {
        let config = scratch.join("raincheck.toml");
        let text = format!(
            "[upstream.simulator]\nprotocol = \"openai\"\nbase_url = \"{}\"\napi_key = \"sk-bench\"\nconcurrency = {CONCURRENCY}\n",
            base_url(simulator)
        );
        std::fs::write(&config, text)?;
        let data = scratch.join("data");
        let key = format!("authorization: Bearer {}\r\n", Server::key(&data).await?);
        let server = Server::start_configured(&data, &config).await?;
        Ok(Self::new("Raincheck", server, "/openai/v1/chat/completions", &key))
    }

    pub(crate) fn requests(&self, mode: Mode) -> Requests {
        Arc::clone(match mode {
            Mode::Whole => &self.whole,
            Mode::Long => &self.long,
            Mode::Streamed => &self.streamed,
        })
    }

    /// Makes a few calls, so that all is loaded and connected.
    pub(crate) async fn warm_up(&self) -> Fallible<()> {
        let mut connection = Connection::open(self.address).await?;
        let mut request = Vec::new();
        for mode in [Mode::Whole, Mode::Streamed] {
            for number in 0..WARM_UP {
                self.requests(mode)(number, &mut request);
                let answer = connection.ask(&request).await?;
                if !mode.is_whole_answer(&answer) {
                    let body = String::from_utf8_lossy(answer.body);
                    return Err(format!("{} answered {}: {body}", self.name, answer.status).into());
                }
            }
        }
        Ok(())
    }

    /// Of a gateway; none is computed where there is none.
    pub(crate) fn cpu_seconds(&self) -> Fallible<f64> {
        self.server.as_ref().map_or(Ok(0.0), Server::cpu_seconds)
    }

    /// Of a gateway; not a number where there is none.
    pub(crate) fn resident_bytes(&self) -> Fallible<f64> {
        self.server.as_ref().map_or(Ok(f64::NAN), Server::resident_bytes)
    }

    /// When answers began, and when they had ended.
    pub(crate) fn add_latency(&mut self, mode: Mode, begins: &Counted, ends: &Counted) {
        let names = match mode {
            Mode::Whole => ["whole_p50_us", "whole_p99_us", "", ""],
            Mode::Long => ["long_p50_us", "long_p99_us", "", ""],
            Mode::Streamed => ["streamed_p50_us", "streamed_p99_us", "first_p50_us", "first_p99_us"],
        };
        let values = [ends.quantile(0.5), ends.quantile(0.99), begins.quantile(0.5), begins.quantile(0.99)];
        for (name, value) in names.into_iter().zip(values).filter(|(name, _)| !name.is_empty()) {
            self.figures.add(name, value);
        }
    }

    /// What a load came to, and how many seconds it and what measures it computed for that.
    #[expect(clippy::cast_precision_loss, reason = "nobody counts 2^52 calls")]
    pub(crate) fn add_load(&mut self, load: &Load, counted: &Counted, spent: &Spent) {
        self.figures.add(load.name, counted.rate());
        self.figures.add(load.cpu, spent.subject * 1e6 / counted.good.max(1) as f64);
        self.figures.add(load.measuring, spent.measuring / spent.wall);
        self.figures.add("bad", counted.bad as f64);
        if let Some(complaint) = &counted.complaint {
            eprintln!("gateway: {}, {}: {} calls failed, the first: {complaint}", self.name, load.name, counted.bad);
        }
    }
}
