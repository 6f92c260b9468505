//! Jobs by the command line alone, on a real server.

use serde_json::{Value, json};

use crate::support::{Ended, Place, Server, delete, raincheck, request, run};

fn client(server: &Server, args: &[&str]) -> Ended {
    run(&mut raincheck(&[args, &["--server", &server.url()]].concat()))
}

fn id(ended: &Ended) -> String {
    assert_eq!(ended.code, Some(0), "{ended:?}");
    ended.json()["id"].as_str().expect("an id").to_owned()
}

#[test]
fn a_job_is_submitted_followed_and_shown() {
    let place = Place::new();
    let server = Server::start(&place, &[]);
    let input = r#"{"digits": 1.10}"#;
    let id = id(&client(&server, &["submit", "echo", "--input", input, "--label", "team=voice", "--priority", "2"]));

    let followed = client(&server, &["follow", &id]);
    assert_eq!(followed.code, Some(0), "{followed:?}");
    let types: Vec<Value> = followed.json_lines().iter().map(|event| event["type"].clone()).collect();
    assert_eq!(types, ["accepted", "started", "completed"]);
    assert!(followed.out.contains("1.10"), "numbers keep their digits: {}", followed.out);

    let job = client(&server, &["get", &id]).json();
    assert_eq!((&job["state"], &job["priority"]), (&json!("completed"), &json!("P2")));
    assert_eq!(job["labels"], json!({"team": "voice"}));
}

#[test]
fn following_from_the_start_gives_the_job_and_then_its_events() {
    let place = Place::new();
    let server = Server::start(&place, &["--store", "memory"]);
    let followed = client(&server, &["submit", "sleep", "--input", r#"{"seconds": 0.6}"#, "--follow"]);
    assert_eq!(followed.code, Some(0), "{followed:?}");
    let lines = followed.json_lines();
    assert!(lines[0]["id"].as_str().is_some_and(|id| id.starts_with("job_")));
    assert_eq!(lines[1]["type"], "accepted");
    assert!(lines.iter().any(|event| event["type"] == "progress"));
    assert_eq!(lines.last().unwrap()["data"]["result"]["slept_seconds"], 0.6);
}

#[test]
fn the_end_of_a_job_is_the_end_of_the_command() {
    let place = Place::new();
    let server = Server::start(&place, &["--store", "memory"]);
    let failing = r#"{"seconds": 0, "fail": true}"#;
    let failed = client(&server, &["submit", "sleep", "--input", failing, "--max-attempts", "1", "--follow"]);
    assert_eq!(failed.code, Some(1), "{failed:?}");
    let waited = client(&server, &["submit", "echo", "--input", "7", "--wait", "30s"]);
    assert_eq!((waited.code, &waited.json()["result"]), (Some(0), &json!(7)));
    let unfinished = client(&server, &["submit", "sleep", "--input", r#"{"seconds": 60}"#, "--wait", "1s"]);
    let state = unfinished.json()["state"].clone();
    assert!(unfinished.code == Some(8) && (state == "running" || state == "queued"), "{unfinished:?}");
}

#[test]
fn a_cancelled_job_is_done_anew() {
    let place = Place::new();
    let server = Server::start(&place, &[]);
    let first = id(&client(&server, &["submit", "echo", "--input", r#""again""#, "--delay", "1h"]));
    assert_eq!(client(&server, &["retry", &first]).code, Some(3), "it has not ended");

    let cancelled = client(&server, &["cancel", &first, "--reason", "not now"]);
    assert_eq!(cancelled.json()["state"], "cancelled");
    assert_eq!(client(&server, &["follow", &first]).code, Some(6));

    let anew = client(&server, &["retry", &first, "--follow"]);
    assert_eq!(anew.code, Some(0), "{anew:?}");
    let lines = anew.json_lines();
    assert_eq!(lines[0]["retry_of"], first.as_str());
    assert_eq!(lines.last().unwrap()["data"]["result"], "again");
}

#[test]
fn lists_are_filtered_and_joined_from_pages() {
    let place = Place::new();
    let server = Server::start(&place, &["--store", "memory"]);
    let submit = |label: &str| id(&client(&server, &["submit", "echo", "--delay", "1h", "--label", label]));
    let blue: Vec<String> = (0..3).map(|_| submit("colour=blue")).collect();
    let red = submit("colour=red");

    let ids = |ended: Ended| -> Vec<String> {
        let all = ended.json()["jobs"].as_array().expect("jobs").clone();
        all.iter().map(|job| job["id"].as_str().expect("an id").to_owned()).collect()
    };
    assert_eq!(ids(client(&server, &["list", "--label", "colour=red"])), [red]);
    let newest_first: Vec<String> = blue.into_iter().rev().collect();
    assert_eq!(ids(client(&server, &["list", "--state", "scheduled", "--label", "colour=blue"])), newest_first);
    assert_eq!(ids(client(&server, &["list", "--limit", "2"])).len(), 2);
    assert!(ids(client(&server, &["list", "--kind", "sleep"])).is_empty());
}

#[test]
fn a_refusal_says_what_where_and_of_what_type() {
    let place = Place::new();
    let server = Server::start(&place, &["--store", "memory"]);
    let refused = client(&server, &["submit", "sleep", "--input", r#"{"seconds": -1}"#]);
    assert_eq!(refused.code, Some(3));
    insta::assert_snapshot!(refused.err);
    let unknown = client(&server, &["get", "job_0199e000000070008000000000000000"]);
    assert_eq!(unknown.code, Some(3));
    insta::assert_snapshot!(unknown.err);
}

#[test]
fn the_same_key_gives_the_same_job() {
    let place = Place::new();
    let server = Server::start(&place, &[]);
    let submit = || id(&client(&server, &["submit", "echo", "--idempotency-key", "k1"]));
    assert_eq!(submit(), submit());
    let other = client(&server, &["submit", "echo", "--input", "1", "--idempotency-key", "k1"]);
    assert_eq!(other.code, Some(3), "{other:?}");
}

#[test]
fn the_same_key_does_a_job_anew_once() {
    let place = Place::new();
    let server = Server::start(&place, &[]);
    let first = id(&client(&server, &["submit", "echo", "--wait", "30s"]));
    let retry = |key: &[&str]| id(&client(&server, &[&["retry", &first], key].concat()));
    let key = ["--idempotency-key", "k1"];
    assert_eq!(retry(&key), retry(&key));
    assert_ne!(retry(&[]), retry(&[]), "each has a key of its own");
}

#[test]
fn http_alone_does_the_same() {
    let place = Place::new();
    let server = Server::start(&place, &[]);
    let headers = [("content-type", "application/json"), ("prefer", "wait=30")];
    let body = r#"{"kind": "sleep", "input": {"seconds": 0.1}}"#;
    let reply = request(server.address, "POST", "/v1/jobs", &headers, body);
    assert_eq!((reply.status, &reply.json()["state"]), (200, &json!("completed")), "{reply:?}");

    let path = reply.headers["location"].clone();
    assert_eq!(server.get(&format!("{path}/result")).json(), json!({"slept_seconds": 0.1}));
    assert_eq!(delete(server.address, &path).status, 204);
    assert_eq!(server.get(&path).status, 404);
}
