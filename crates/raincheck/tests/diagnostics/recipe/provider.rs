use std::time::Duration;

use serde_json::{Value, json};

use super::{QUICK, RUBRIC, ended, job_at, recorded, scaled, send, serve, serve_changed, submit};
use crate::diagnostics::Stage;
use crate::proof::within;
use crate::support::{Server, post, raincheck};

/// Has this fault happen to the next calls.
fn fault(stage: &Stage, fault: &Value, calls: u32) {
    let rules = json!({ "rules": [{ "fault": fault, "model": "scorer", "calls": calls }] });
    assert_eq!(post(stage.simulator.address, "/sim/faults", &rules.to_string()).status, 200);
}

/// The job of a diagnostic that waits for its provider, with the time at which it goes on.
fn waits(server: &Server, path: &str) -> Value {
    within(Duration::from_secs(20), "it waits", || {
        let job = server.job(job_at(path));
        let is_waiting = job["state"] == "waiting" && job["estimated_start_at"].is_string();
        assert!(job["finished_at"].is_null(), "it has ended: {job}");
        is_waiting.then_some(job)
    })
}

#[test]
fn a_provider_that_cannot_be_had_now_is_waited_for() {
    let stage = Stage::new(scaled(QUICK));
    let server = serve(&stage);
    // A 429 costs the job nothing.
    for (number, (kind, failures)) in (1..).zip([("rate_limited", 0), ("unavailable", 1), ("overloaded", 1)]) {
        fault(&stage, &json!({ "kind": kind, "retry_after": "seconds", "wait_ms": 2_000 }), 1);
        let path = submit(&server, kind);
        let job = waits(&server, &path);
        assert!(job["run_at"].as_str() > job["started_at"].as_str(), "{job}");
        assert_eq!(
            (&job["failures"], &server.get(&path).json()["status"]),
            (&json!(failures), &json!("waiting")),
            "{job}"
        );
        assert_eq!(ended(&server, &path)["status"], "completed", "{kind}");
        assert_eq!(stage.total("executions"), number, "{kind}");
    }
}

#[test]
fn a_provider_that_is_down_is_waited_for() {
    let Stage { place, simulator, config } = Stage::new(scaled(QUICK));
    let address = simulator.address.to_string();
    simulator.kill();
    place.file("raincheck.toml", &config);
    std::fs::create_dir(place.path().join("diagnostics")).expect("a folder");
    place.file("diagnostics/diagnostic.toml", &crate::diagnostics::text("diagnostic.toml"));
    let server = Server::start(&place, &["--config", "raincheck.toml", "--recipes", "diagnostics"]);
    let path = submit(&server, "Agent: Yes?");
    waits(&server, &path);
    assert_eq!(server.get("/api/tasks").json()["tasks"][0]["status"], "waiting");
    let simulator = Server::spawn(&place, raincheck(&["simulate", "--listen", &address, "--config", "sim.json"]));
    assert_eq!(ended(&server, &path)["status"], "completed");
    assert_eq!(simulator.get("/sim/ledger").json()["total"]["executions"], 1);
}

#[test]
fn what_is_no_score_at_the_provider_is_a_failure_that_says_why() {
    let stage = Stage::new(scaled(QUICK * 10));
    let server = serve(&stage);
    let fails = |server: &Server, text: &str| {
        let path = submit(server, text);
        let told = ended(server, &path);
        assert_eq!((&told["status"], &told["result"]), (&json!("failed"), &Value::Null), "{told}");
        (told["message"].as_str().expect("a message").to_owned(), server.job(job_at(&path)))
    };
    fault(&stage, &json!({ "kind": "content_policy" }), 1);
    let (message, job) = fails(&server, "It is refused");
    assert!(message.contains("Your request was rejected"), "{message}");
    assert_eq!((&job["error"]["upstream_status"], stage.total("executions")), (&json!(400), 0), "{job}");

    fault(&stage, &json!({ "kind": "fails" }), 3);
    let (message, _) = fails(&server, "It fails");
    assert!(message.contains("The simulated work failed."), "{message}");
    assert_eq!(stage.total("failed"), 3, "it was begun three times, and no more");
    server.stop();

    // What there is of an answer that was broken off is kept.
    let server = serve_changed(&stage, |recipe| {
        recipe.replace("[steps.score.input]\n", "[steps.score.input]\nmax_output_tokens = 2\n")
    });
    let (message, job) = fails(&server, "It is broken off");
    assert!(message.contains("max_output_tokens"), "{message}");
    assert_eq!(
        job["error"]["name"].as_str().or(job["error"]["type"].as_str()),
        Some("urn:raincheck:problem:answer-incomplete")
    );
    let answer = &job["error"]["upstream_error"]["output"][0]["content"][0]["text"];
    assert!(answer.as_str().is_some_and(|text| !text.is_empty()), "{job}");
}

#[test]
fn a_diagnostic_that_is_stopped_is_stopped_at_the_provider_as_well() {
    let stage = Stage::new(|_| {});
    let server = serve(&stage);
    let path = submit(&server, "Agent: Yes?");
    recorded(&server, &path, "score/started at provider");
    assert_eq!(post(server.address, &format!("{path}/cancel"), "").json()["status"], "running");
    assert_eq!(ended(&server, &path)["status"], "cancelled");
    within(Duration::from_secs(10), "the provider stops", || (stage.total("cancelled") == 1).then_some(()));
    // Again it is the same; one that has ended otherwise cannot be stopped any more.
    assert_eq!(post(server.address, &format!("{path}/cancel"), "").json()["status"], "cancelled");
    let reply = send(&server, &[("file", "Agent: Yes?"), ("rubric", RUBRIC)], &[]);
    assert_eq!(reply.status, 202, "{reply:?}");
}
