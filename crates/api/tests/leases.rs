//! Workers in other processes.

use std::sync::atomic::Ordering;

use axum::http::{Method, StatusCode};
use raincheck_core::STEPS_MAX;
use raincheck_store::Scope;
use serde_json::{Value, json};

use crate::support::{Reply, Server, blotted};

const LEASE: &str = r#"{"worker": "w1", "kinds": [{"kind": "remote", "max": 10}]}"#;

/// Submits a job of the external kind and leases it.
async fn leased(server: &Server) -> Value {
    server.submit(r#"{"kind": "remote", "input": {"n": 1.10}}"#).await;
    let reply = server.post("/v1/leases", LEASE).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
    assert!(reply.text().contains("1.10"), "numbers keep their digits");
    reply.json()["leases"][0].clone()
}

async fn write(server: &Server, lease: &Value, what: &str, body: Value) -> Reply {
    let mut body = body;
    body["fence"] = lease["fence"].clone();
    server.post(&format!("/v1/leases/{}/{what}", lease["job"]["id"].as_str().unwrap()), &body.to_string()).await
}

#[tokio::test]
async fn a_job_is_run_from_outside() {
    let server = Server::keyless().await;
    let lease = leased(&server).await;
    insta::assert_json_snapshot!("lease", blotted(lease.clone()));
    let again = server.post("/v1/leases", LEASE).await;
    assert_eq!(again.json(), json!({"leases": []}), "a job is leased to one worker");
    let events = json!({"events": [
        {"progress": {"current": 450, "total": 1000, "message": "Processing file 450/1000"}},
        {"output": {"text": "a"}},
        {"step": {"name": "embed", "result": [1, 2]}},
    ]});
    let appended = write(&server, &lease, "events", events).await;
    assert_eq!((appended.status, appended.json()), (StatusCode::OK, json!({"last_seq": 5})));
    let id = lease["job"]["id"].as_str().unwrap();
    let job = server.get(&format!("/v1/jobs/{id}")).await.json();
    let steps = json!([{"name": "embed", "result": [1, 2]}]);
    assert_eq!((&job["progress"]["percent"], &job["steps"]), (&json!(45.0), &steps));
    let finished = write(&server, &lease, "finish", json!({"result": null})).await;
    assert_eq!((finished.status, finished.json()), (StatusCode::OK, json!({"state": "completed"})));
    assert_eq!(server.get(&format!("/v1/jobs/{id}/result")).await.text(), "null");
    let late = write(&server, &lease, "finish", json!({"result": 2})).await;
    assert_eq!(late.status, StatusCode::CONFLICT);
    insta::assert_json_snapshot!("lease_lost", late.json());
}

#[tokio::test]
async fn events_whose_answer_was_lost_are_sent_again() {
    let server = Server::keyless().await;
    let lease = leased(&server).await;
    let first = json!({"after": 0, "events": [{"output": 1}, {"step": {"name": "a", "result": 1}}]});
    for body in [&first, &first, &json!({"after": 4, "events": [{"output": 2}]}), &first] {
        let reply = write(&server, &lease, "events", body.clone()).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
    }
    let log = server.get(&format!("/v1/jobs/{}/events", lease["job"]["id"].as_str().unwrap())).await.json();
    let types: Vec<&str> =
        log["events"].as_array().unwrap().iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["accepted", "started", "output", "step", "output"]);
    let never = write(&server, &lease, "events", json!({"after": -1, "events": [{"output": 1}]})).await;
    assert_eq!((never.status, &never.json()["pointer"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("/after")));
}

#[tokio::test]
async fn an_attempt_ends_in_one_of_three_ways() {
    let server = Server::keyless().await;
    for (ending, state) in [
        (json!({"error": {"detail": "it broke", "retry": false}}), "failed"),
        (json!({"error": {"detail": "it broke", "retry_after": 60}}), "waiting"),
        (json!({"released": true}), "queued"),
    ] {
        let lease = leased(&server).await;
        let reply = write(&server, &lease, "finish", ending).await;
        assert_eq!((reply.status, reply.json()), (StatusCode::OK, json!({"state": state})));
    }
    let lease = leased(&server).await;
    for none_or_two in [json!({}), json!({"result": 1, "released": true}), json!({"released": false})] {
        assert_eq!(write(&server, &lease, "finish", none_or_two).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    }
}

#[tokio::test]
async fn a_heartbeat_brings_back_what_happened() {
    let server = Server::keyless().await;
    let lease = leased(&server).await;
    let id = lease["job"]["id"].as_str().unwrap();
    let held = json!({"leases": [{"job": id, "fence": lease["fence"]}, {"job": id, "fence": 99}]}).to_string();
    let heard = async || server.post("/v1/leases/heartbeat", &held).await.json()["leases"].clone();
    let before = json!([
        {"job": id, "held": true, "cancel_requested": false},
        {"job": id, "held": false, "cancel_requested": false},
    ]);
    assert_eq!(heard().await, before);
    server.post(&format!("/v1/jobs/{id}/cancel"), "").await;
    assert_eq!(heard().await[0]["cancel_requested"], json!(true));
    let ended = write(&server, &lease, "finish", json!({"error": {"detail": "stopped"}})).await;
    assert_eq!(ended.json(), json!({"state": "cancelled"}));
    assert_eq!(heard().await[0]["held"], json!(false));
}

#[tokio::test]
async fn a_busy_store_makes_no_worker_drop_its_leases() {
    let server = Server::keyless().await;
    let lease = leased(&server).await;
    let held = json!({"leases": [{"job": lease["job"]["id"], "fence": lease["fence"]}]}).to_string();
    server.is_busy.store(true, Ordering::Relaxed);
    let reply = server.post("/v1/leases/heartbeat", &held).await;
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE, "{}", reply.text());
    server.is_busy.store(false, Ordering::Relaxed);
    let reply = server.post("/v1/leases/heartbeat", &held).await;
    assert_eq!(reply.json()["leases"][0]["held"], json!(true));
}

#[tokio::test(start_paused = true)]
async fn a_worker_waits_for_work() {
    let server = Server::keyless().await;
    let began = tokio::time::Instant::now();
    let waiting = r#"{"worker": "w1", "kinds": [{"kind": "remote", "max": 1}], "wait": 3}"#;
    assert_eq!(server.post("/v1/leases", waiting).await.json(), json!({"leases": []}));
    assert_eq!(began.elapsed().as_secs(), 3);
    let submit = async {
        tokio::task::yield_now().await;
        server.submit(r#"{"kind": "remote"}"#).await
    };
    let (leased, id) = tokio::join!(server.post("/v1/leases", waiting), submit);
    assert_eq!(leased.json()["leases"][0]["job"]["id"], json!(id));
    assert!(began.elapsed().as_secs() < 4, "it was woken");
    server.closing.cancel();
    assert_eq!(server.post("/v1/leases", waiting).await.json(), json!({"leases": []}));
    assert!(began.elapsed().as_secs() < 4, "a stop ends the wait");
}

#[tokio::test]
async fn workers_keep_to_external_kinds_and_bounds() {
    let server = Server::keyless().await;
    for (body, pointer) in [
        (r#"{"worker": "w", "kinds": [{"kind": "echo", "max": 1}]}"#, "/kinds/0/kind"),
        (r#"{"worker": "w", "kinds": [{"kind": "remote", "max": 0}]}"#, "/kinds/0/max"),
        (r#"{"worker": "", "kinds": [{"kind": "remote", "max": 1}]}"#, "/worker"),
        (r#"{"worker": "w", "kinds": []}"#, "/kinds"),
        (r#"{"worker": "w", "kinds": [{"kind": "remote", "max": 1}], "lease_seconds": 0.5}"#, "/lease_seconds"),
    ] {
        let reply = server.post("/v1/leases", body).await;
        assert_eq!((reply.status, &reply.json()["pointer"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!(pointer)));
    }
}

#[tokio::test]
async fn so_many_steps_are_recorded_for_a_worker() {
    let server = Server::keyless().await;
    let lease = leased(&server).await;
    let path = format!("/v1/leases/{}/events", lease["job"]["id"].as_str().unwrap());
    let steps = |count: u32| {
        let events: Vec<Value> = (0..count).map(|n| json!({"step": {"name": n.to_string(), "result": n}})).collect();
        json!({"fence": lease["fence"], "events": events}).to_string()
    };
    for _ in 0..STEPS_MAX / 1_000 {
        assert_eq!(server.post(&path, &steps(1_000)).await.status, StatusCode::OK);
    }
    let reply = server.post(&path, &steps(1)).await;
    assert_eq!((reply.status, &reply.json()["pointer"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("/events")));
}

#[tokio::test]
async fn nobody_writes_to_the_attempts_of_others() {
    let server = Server::keyed().await;
    let (owner, stranger) = (
        server.key("a", &[Scope::Submit, Scope::Worker], None).await,
        server.key("a", &[Scope::Submit, Scope::Worker], None).await,
    );
    let call = async |key: &str, path: &str, body: &str| {
        server.call(Method::POST, path, &[("authorization", key)], body).await
    };
    let local = call(&owner, "/v1/jobs", r#"{"kind": "gate"}"#).await.id();
    server.until(&local, "started").await;
    let remote = call(&owner, "/v1/jobs", r#"{"kind": "remote"}"#).await.id();
    assert_eq!(call(&owner, "/v1/leases", LEASE).await.json()["leases"].as_array().unwrap().len(), 1);
    let finish = r#"{"fence": 1, "result": "mine"}"#;
    let unknown = "job_019c5a3e0f4b7c3a9d2b1f6a0e8c7d11";
    let mut answers = Vec::new();
    for job in [&*local, &*remote, unknown] {
        let reply = call(&stranger, &format!("/v1/leases/{job}/finish"), finish).await;
        assert_eq!(reply.status, StatusCode::CONFLICT, "{job}");
        answers.push(reply.body);
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "no answer tells a job from one that never was");
    assert_eq!(call(&owner, &format!("/v1/leases/{remote}/finish"), finish).await.status, StatusCode::OK);
}
