//! What the doors of other dialects promise across a crash.

use std::collections::BTreeSet;
use std::fs::OpenOptions;

use serde_json::{Value, json};

use crate::support::{Place, Server, post, raincheck};

const BATCHES: &str = "/anthropic/v1/messages/batches";
const REQUESTS: usize = 60;

/// The names of the requests of a batch that have ended.
fn ended(server: &Server, job: &str) -> BTreeSet<String> {
    let job = server.job(job);
    let steps = job["steps"].as_array().expect("a job has steps").iter();
    steps.map(|step| step["name"].as_str().expect("a step has a name").replace("request:", "")).collect()
}

#[test]
fn a_crash_repeats_no_message_of_a_batch_that_has_ended() {
    let place = Place::new();
    place.file("sim.json", r#"{"behaviour": {"call_ms": {"constant": 300}}}"#);
    let log = OpenOptions::new().create(true).append(true).open(place.log()).expect("the log can be written");
    let simulate = ["simulate", "--listen", "127.0.0.1:0", "--config", "sim.json"];
    let simulator = Server::spawn(raincheck(&simulate).current_dir(place.path()), log);
    let upstream = format!(
        "[upstream.claude]\nprotocol = \"anthropic\"\nbase_url = \"{}/anthropic\"\nidempotency_header = \"idempotency-key\"\n",
        simulator.url()
    );
    let config = place.file("upstreams.toml", &upstream);
    let flags = ["--config", config.to_str().expect("a plain path")];
    let server = Server::start(&place, &flags);
    let ask = json!({ "model": "claude", "max_tokens": 8, "messages": [{ "role": "user", "content": "Hi" }] });
    let requests: Vec<Value> =
        (0..REQUESTS).map(|number| json!({ "custom_id": format!("r{number}"), "params": ask })).collect();
    let batch = post(server.address, BATCHES, &json!({ "requests": requests }).to_string()).json();
    let id = batch["id"].as_str().expect("a batch has an id").to_owned();
    let job = id.replace("msgbatch_", "job_");
    let before = loop {
        let ended = ended(&server, &job);
        if ended.len() >= 10 {
            break ended;
        }
    };
    server.kill();
    let server = Server::start(&place, &flags);
    assert_eq!(server.ended(&job)["state"], "completed");
    let batch = server.get(&format!("{BATCHES}/{id}")).json();
    assert_eq!(batch["request_counts"]["succeeded"], REQUESTS, "{batch}");
    let ledger = simulator.get("/sim/ledger").json();
    let calls = |custom_id: &str| ledger["keys"][format!("{job}-{custom_id}")]["executions"].as_u64().unwrap_or(0);
    for custom_id in &before {
        assert_eq!(calls(custom_id), 1, "{custom_id} was recorded before the crash: {ledger}");
    }
    let all: u64 = (0..REQUESTS).map(|number| calls(&format!("r{number}"))).sum();
    println!("{} of {REQUESTS} messages had ended before the crash; {all} calls in all", before.len());
    assert!(all <= REQUESTS as u64 + 16, "only what was under way is called again: {all}");
}
