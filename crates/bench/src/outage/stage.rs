//! A server, the simulated provider that it calls, and what both say of themselves.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::Instant;

use crate::failure::Fallible;
use crate::http::{Connection, get, post};
use crate::jobs;
use crate::server::Server;

/// Jobs that have not ended so long after the last was accepted are given up.
const END_WITHIN: Duration = Duration::from_secs(600);
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Both, in processes of their own. They end with it.
pub(super) struct Stage {
    pub(super) server: Server,
    simulator: Server,
    _data: TempDir,
}

/// How it goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing {
    /// Jobs that wait.
    pub(super) waiting: f64,
    /// Attempts that run.
    pub(super) running: f64,
    /// Calls that the provider got.
    pub(super) calls: u64,
    /// Those that it refused.
    pub(super) refused: u64,
}

impl Stage {
    /// Calls take half a second and stream ten tokens; `behaviour` and `upstream` add to that and to what the server knows of
    /// the provider.
    pub(super) async fn start(scratch: &Path, behaviour: &Value, upstream: &str) -> Fallible<Self> {
        let data = TempDir::new_in(scratch)?;
        let mut usual = json!({
            "first_token_ms": { "constant": 300 },
            "per_token_ms": { "constant": 20 },
            "output_tokens": { "constant": 10 },
        });
        for (name, value) in behaviour.as_object().into_iter().flatten() {
            usual[name] = value.clone();
        }
        let (simulated, configured) = (data.path().join("simulator.json"), data.path().join("raincheck.toml"));
        std::fs::write(&simulated, json!({ "behaviour": usual }).to_string())?;
        let simulator = Server::simulate(&simulated).await?;
        let address = simulator.address;
        let text = format!(
            "[upstream.openai]\nprotocol = \"openai\"\nbase_url = \"http://{address}/openai/v1\"\n{upstream}\n"
        );
        std::fs::write(&configured, text)?;
        let server = Server::start_configured(&data.path().join("data"), &configured).await?;
        Ok(Self { server, simulator, _data: data })
    }

    /// Goes wrong in this way from now on.
    pub(super) async fn fault(&self, fault: &Value, rate: f64) -> Fallible<()> {
        let rules = json!({ "rules": [{ "fault": fault, "rate": rate }] });
        jobs::told(self.simulator.address, &post("/sim/faults", "", &rules.to_string())).await.map(drop)
    }

    /// Nothing goes wrong any more.
    pub(super) async fn heal(&self) -> Fallible<()> {
        let request = b"DELETE /sim/faults HTTP/1.1\r\nhost: localhost\r\n\r\n";
        jobs::told(self.simulator.address, request).await.map(drop)
    }

    /// What the provider's account book says.
    pub(super) async fn ledger(&self) -> Fallible<Value> {
        let mut ledger: Value =
            serde_json::from_slice(&jobs::told(self.simulator.address, &get("/sim/ledger", "")).await?)?;
        Ok(ledger["total"].take())
    }

    /// Every request for work that the provider noted: when it came, and what was answered.
    pub(super) async fn requests(&self) -> Fallible<Vec<(u64, u64)>> {
        let (mut all, mut last) = (Vec::new(), 0);
        loop {
            let path = format!("/sim/requests?after={last}&limit=1000");
            let page: Value = serde_json::from_slice(&jobs::told(self.simulator.address, &get(&path, "")).await?)?;
            let page = page["requests"].as_array().cloned().unwrap_or_default();
            let Some(end) = page.last() else { return Ok(all) };
            last = end["number"].as_u64().ok_or("a request without a number")?;
            let seen = |request: &Value| Some((request["at_ms"].as_u64()?, request["status"].as_u64().unwrap_or(0)));
            all.extend(page.iter().filter_map(seen));
        }
    }

    pub(super) async fn standing(&self) -> Fallible<Standing> {
        let mut connection = Connection::open(self.server.address).await?;
        let waiting = jobs::metric(&mut connection, "raincheck_jobs_waiting").await?;
        let running = jobs::metric(&mut connection, "raincheck_attempts_running").await?;
        let ledger = self.ledger().await?;
        let count = |name: &str| ledger[name].as_u64().unwrap_or(0);
        Ok(Standing { waiting, running, calls: count("received"), refused: count("refused") })
    }

    /// Waits until every job has ended.
    pub(super) async fn wait(&self) -> Fallible<()> {
        let until = Instant::now() + END_WITHIN;
        let mut connection = Connection::open(self.server.address).await?;
        while Instant::now() < until {
            let waiting = jobs::metric(&mut connection, "raincheck_jobs_waiting").await?;
            let running = jobs::metric(&mut connection, "raincheck_attempts_running").await?;
            if waiting + running == 0.0 {
                return Ok(());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Err("jobs have not ended ten minutes after the last of them".into())
    }
}
