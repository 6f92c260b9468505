//! The recipe itself (rows D1-D14 of a diagnostic): a file and a rubric, posted as any front end would.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Stage;
use crate::proof::within;
use crate::support::{Reply, Server, post, request};

/// A model's twelve minutes pass in a second and a half.
const QUICK: u64 = 480;
const RUBRIC: &str = "100 for a friendly end, else 0";

fn folder() -> std::path::PathBuf {
    super::recipe("")
}

/// The recipe's server; `change` is made to the text of the recipe.
fn serve(stage: &Stage, change: impl FnOnce(String) -> String) -> Server {
    std::fs::create_dir_all(stage.place.path().join("diagnostics")).expect("a folder");
    let text = std::fs::read_to_string(folder().join("diagnostic.toml")).expect("the recipe can be read");
    stage.place.file("diagnostics/diagnostic.toml", &change(text));
    let config = stage.place.file("raincheck.toml", &stage.config);
    let config = config.to_str().expect("a plain path").to_owned();
    Server::start(&stage.place, &["--config", &config, "--recipes", "diagnostics"])
}

fn form(parts: &[(&str, &str)]) -> String {
    let part = |(name, text): &(&str, &str)| {
        let filename = if *name == "file" { "; filename=\"call.txt\"" } else { "" };
        format!("--X\r\nContent-Disposition: form-data; name=\"{name}\"{filename}\r\n\r\n{text}\r\n")
    };
    parts.iter().map(part).collect::<String>() + "--X--\r\n"
}

fn send(server: &Server, parts: &[(&str, &str)], headers: &[(&str, &str)]) -> Reply {
    let headers = [&[("Content-Type", "multipart/form-data; boundary=X")], headers].concat();
    request(server.address, "POST", "/api/diagnostics", &headers, &form(parts))
}

/// Submits a diagnostic of this text; gives the path of its status.
fn submit(server: &Server, text: &str) -> String {
    let reply = send(server, &[("file", text), ("rubric", RUBRIC)], &[]);
    assert_eq!(reply.status, 202, "{reply:?}");
    reply.headers["location"].clone()
}

fn ended(server: &Server, path: &str) -> Value {
    within(Duration::from_secs(60), "the diagnostic ends", || {
        let told = server.get(&format!("{path}?wait=20")).json();
        (!["queued", "running", "waiting"].contains(&told["status"].as_str().unwrap_or("?"))).then_some(told)
    })
}

fn scaled(scale: u64) -> impl FnOnce(&mut Value) {
    move |simulated| simulated["time_scale"] = json!(scale)
}

#[test]
fn a_file_and_a_rubric_become_a_score_and_the_file_goes_to_the_provider_once() {
    let stage = Stage::new(scaled(QUICK));
    let server = serve(&stage, |recipe| recipe);
    let reply = send(&server, &[("file", "Agent: Yes?"), ("rubric", RUBRIC)], &[("Idempotency-Key", "one")]);
    assert_eq!((reply.status, reply.json()["status"].as_str()), (202, Some("queued")), "{reply:?}");
    assert!(reply.headers.contains_key("retry-after"), "{reply:?}");
    let path = reply.headers["location"].clone();
    assert_eq!(path, format!("/api/diagnostics/{}", reply.json()["id"].as_str().expect("an id")));
    // The same request again, and another under its name.
    let again = send(&server, &[("file", "Agent: Yes?"), ("rubric", RUBRIC)], &[("Idempotency-Key", "one")]);
    assert_eq!((again.status, &again.json()["id"]), (202, &reply.json()["id"]), "{again:?}");
    let other = send(&server, &[("file", "Agent: No."), ("rubric", RUBRIC)], &[("Idempotency-Key", "one")]);
    assert_eq!(other.json()["error"], "idempotency-key-reused", "{other:?}");
    let told = ended(&server, &path);
    assert_eq!((&told["status"], &told["file"]), (&json!("completed"), &json!("call.txt")), "{told}");
    let score = told["result"]["score"].as_u64();
    assert!(score.is_some_and(|score| score <= 100) && told["result"]["repaired"] == false, "{told}");
    assert_eq!(ended(&server, &submit(&server, "Agent: Yes?"))["status"], "completed");
    assert_eq!((stage.total("uploads"), stage.total("executions")), (1, 2));
    let tasks = server.get("/api/tasks").json();
    assert_eq!(tasks["tasks"].as_array().map(Vec::len), Some(2), "{tasks}");
    assert_eq!(tasks["tasks"][1]["score"], told["result"]["score"], "{tasks}");
}

#[test]
fn while_many_are_scored_at_once_tasks_and_status_answer_at_once() {
    let stage = Stage::new(scaled(240));
    let server = serve(&stage, |recipe| recipe);
    let began = Instant::now();
    let paths: Vec<String> = (0..10).map(|number| submit(&server, &format!("Call {number}"))).collect();
    let mut took = Vec::new();
    for _ in 0..20 {
        for path in [paths[0].as_str(), "/api/tasks", "/healthz"] {
            let asked = Instant::now();
            assert_eq!(server.get(path).status, 200);
            took.push(asked.elapsed());
        }
    }
    assert!(began.elapsed() < Duration::from_secs(30), "the machine is too slow to say anything");
    took.sort();
    // The provider takes three seconds; half of all answers come in a small part of that, however busy the machine is.
    assert!(took[took.len() / 2] < Duration::from_millis(500), "{took:?}");
    for path in &paths {
        assert_eq!(ended(&server, path)["status"], "completed");
    }
    assert_eq!((stage.total("executions"), stage.total("under_way_peak")), (10, 10));
}

/// The recipe with a model that is not held to a schema in these steps, so that it answers with words.
fn free(steps: &[&str]) -> impl Fn(String) -> String {
    let cuts: Vec<String> = steps.iter().map(|step| format!("[steps.{step}.input.text.format")).collect();
    move |recipe| {
        let mut cut = false;
        let keep = |line: &&str| {
            if line.starts_with('[') {
                cut = cuts.iter().any(|start| line.starts_with(start.as_str()));
            }
            !cut
        };
        recipe.lines().filter(keep).collect::<Vec<_>>().join("\n")
    }
}

#[test]
fn what_is_no_score_is_asked_for_once_more_and_then_fails_with_what_was_said() {
    let stage = Stage::new(scaled(QUICK * 10));
    let server = serve(&stage, free(&["score"]));
    let told = ended(&server, &submit(&server, "Agent: Yes?"));
    assert_eq!((&told["status"], &told["result"]["repaired"]), (&json!("completed"), &json!(true)), "{told}");
    assert!(told["result"]["score"].is_u64(), "{told}");
    assert_eq!(stage.total("executions"), 2);
    server.stop();

    let server = serve(&stage, free(&["score", "repair"]));
    let told = ended(&server, &submit(&server, "Agent: Yes?"));
    assert_eq!((&told["status"], &told["result"]), (&json!("failed"), &Value::Null), "{told}");
    let message = told["message"].as_str().expect("a message");
    assert!(message.starts_with("the model gave no score from 0 to 100, ") && message.len() > 40, "{told}");
    assert_eq!(stage.total("executions"), 4, "it was asked once more, and no more");
}

#[test]
fn a_provider_that_fails_is_waited_for_and_one_that_refuses_is_not() {
    let stage = Stage::new(|simulated| {
        simulated["time_scale"] = json!(QUICK);
        let fault = json!({ "kind": "rate_limited", "retry_after": "seconds", "wait_ms": 1000 });
        simulated["faults"] = json!([{ "fault": fault, "model": "scorer", "calls": 1 }]);
    });
    let server = serve(&stage, |recipe| recipe);
    assert_eq!(ended(&server, &submit(&server, "Agent: Yes?"))["status"], "completed");
    let fault = json!({ "rules": [{ "fault": { "kind": "content_policy" }, "model": "scorer" }] });
    assert!(post(stage.simulator.address, "/sim/faults", &fault.to_string()).status < 300);
    let told = ended(&server, &submit(&server, "Agent: No."));
    assert_eq!((&told["status"], &told["result"]), (&json!("failed"), &Value::Null), "{told}");
    assert!(told["message"].as_str().is_some_and(|why| why.contains("rejected")), "{told}");
}

#[test]
fn a_diagnostic_that_is_stopped_is_stopped_at_the_provider_as_well() {
    let stage = Stage::new(|_| {});
    let server = serve(&stage, |recipe| recipe);
    let path = submit(&server, "Agent: Yes?");
    within(Duration::from_secs(20), "the provider is at work", || (stage.total("executions") == 1).then_some(()));
    within(Duration::from_secs(20), "its call is known", || {
        let said = server.get(&path).json();
        (said["message"] == "The upstream is at work").then_some(())
    });
    assert_eq!(post(server.address, &format!("{path}/cancel"), "").status, 200);
    assert_eq!(ended(&server, &path)["status"], "cancelled");
    within(Duration::from_secs(10), "the provider stops", || (stage.total("cancelled") == 1).then_some(()));
}

#[test]
fn what_cannot_be_scored_is_refused_before_there_is_a_job() {
    let stage = Stage::new(|_| {});
    let server = serve(&stage, |recipe| recipe.replace("max = 52428800", "max = 1000"));
    let large = "x".repeat(1_001);
    for (parts, status, error, told) in [
        (vec![("rubric", RUBRIC)], 422, "invalid-input", "file: it is missing"),
        (vec![("file", ""), ("rubric", RUBRIC)], 422, "invalid-input", "file: the file is empty"),
        (vec![("file", "a")], 422, "invalid-input", "rubric: it is missing"),
        (vec![("file", large.as_str()), ("rubric", RUBRIC)], 413, "body-too-large", ""),
    ] {
        let reply = send(&server, &parts, &[]);
        let body = reply.json();
        assert_eq!((reply.status, body["error"].as_str()), (status, Some(error)), "{body}");
        assert!(body["message"].as_str().is_some_and(|message| message.contains(told)), "{body}");
    }
    assert_eq!(server.get("/api/diagnostics/job_00000000000070008000000000000000").status, 404);
    assert_eq!(server.get("/api/tasks").json(), json!({ "tasks": [] }));
}
