//! Promise: what a step has done is done once. The server is killed (SIGKILL) behind every step of a recipe, and by the
//! provider's own account no call of a recorded step was made again.

use std::time::Duration;

use serde_json::Value;

use crate::proof::within;
use crate::support::{Place, Server, post};

const STEPS: [&str; 5] = ["outline", "draft", "check", "polish", "title"];

/// Four calls one after the other, two of them behind the provider's own id, and a loop of three.
const CHAIN: &str = r#"
name = "chain"
[route]
post = "/api/chain"
[steps.outline]
kind = "llm.chat"
input = { model = "outline", messages = [{ role = "user", content = "Outline it" }] }
[steps.draft]
kind = "llm.response"
input = { model = "draft", input = "{{ steps.outline.choices[0].message.content }}" }
[steps.check]
kind = "llm.chat"
for_each = "['facts', 'style', 'length']"
concurrency = 1
input = { model = "check", messages = [{ role = "user", content = "{{ item }}" }] }
[steps.polish]
kind = "llm.response"
input = { model = "polish", input = "{{ steps.draft.id }}" }
[steps.title]
kind = "llm.chat"
input = { model = "title", messages = [{ role = "user", content = "{{ steps.check | length }}" }] }
"#;

struct Stage {
    place: Place,
    simulator: Server,
}

impl Stage {
    fn new() -> Self {
        let place = Place::new();
        place.file("chain.toml", CHAIN);
        place.file("sim.json", r#"{"behaviour": {"call_ms": {"constant": 250}}}"#);
        let simulator = Server::simulator(&place, &["--config", "sim.json"]);
        let config = format!(
            "[upstream.sim]\nprotocol = \"openai\"\nbase_url = \"{}/openai/v1\"\nnative_background = true\n",
            simulator.url()
        );
        place.file("raincheck.toml", &config);
        Self { place, simulator }
    }

    fn serve(&self) -> Server {
        Server::start(&self.place, &["--config", "raincheck.toml", "--recipes", "chain.toml"])
    }

    /// How often the provider was asked for each step (or item of one), and how many tokens it was paid for, by the key that
    /// the calls came with.
    fn ledger(&self) -> Value {
        self.simulator.get("/sim/ledger").json()["keys"].clone()
    }

    /// Runs the recipe, with the server killed as soon as this is recorded; gives how the job ended.
    fn killed_behind(&self, recorded: &str) -> (String, Value) {
        let server = self.serve();
        let id = post(server.address, "/api/chain", "").json()["id"].as_str().expect("an id").to_owned();
        within(Duration::from_secs(20), recorded, || is_recorded(&server, &id, recorded).then_some(()));
        server.kill();
        let server = self.serve();
        let job = server.ended(&id);
        (id, job)
    }
}

/// Whether a job has recorded a step.
pub(super) fn is_recorded(server: &Server, id: &str, name: &str) -> bool {
    let events = server.get(&format!("/v1/jobs/{id}/events?limit=1000")).json();
    let steps = events["events"].as_array().expect("events").iter().filter(|event| event["type"] == "step");
    steps.filter_map(|step| step["data"]["name"].as_str()).any(|step| step == name)
}

#[test]
fn killed_behind_every_step_no_recorded_call_is_made_again() {
    let stage = Stage::new();
    let items: Vec<String> = (0..3).map(|number| format!("check[{number}]")).collect();
    let whole = ["outline", "draft", &items[0], &items[1], &items[2], "polish", "title"];
    for (at, recorded) in whole.iter().enumerate().take(6) {
        let (id, job) = stage.killed_behind(recorded);
        assert_eq!(
            (&job["state"], &job["attempt"]),
            (&"completed".into(), &2.into()),
            "killed behind {recorded}: {job}"
        );
        let ledger = stage.ledger();
        for (place, step) in whole.iter().enumerate() {
            let calls = &ledger[format!("{id}/{step}")]["executions"];
            // The call that had just been sent may have been made, and nobody knows yet under which id it is found again.
            let most = if place == at + 1 { 2 } else { 1 };
            let calls = calls.as_u64().unwrap_or_else(|| panic!("{step} was called: {ledger}"));
            assert!((1..=most).contains(&calls), "killed behind {recorded}, {step} was called {calls} times: {ledger}");
        }
    }
}

#[test]
fn killed_while_the_provider_works_behind_its_own_id_it_is_paid_once() {
    let stage = Stage::new();
    let (id, job) = stage.killed_behind("draft/started at sim");
    assert_eq!(job["state"], "completed", "{job}");
    let ledger = stage.ledger();
    let paid: Vec<u64> =
        STEPS[..2].iter().map(|step| ledger[format!("{id}/{step}")]["executions"].as_u64().unwrap()).collect();
    assert_eq!(paid, [1, 1], "{ledger}");
}
