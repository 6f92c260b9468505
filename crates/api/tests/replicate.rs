//! The door of Replicate's predictions, as its clients call it.

use std::time::Duration;

use axum::http::{Method, StatusCode};
use raincheck_api::ApiSettings;
use raincheck_store::Scope;
use serde_json::{Value, json};

use crate::support::{Reply, Server, request};

const PREDICTIONS: &str = "/replicate/v1/predictions";

async fn create(server: &Server, prompt: &str, headers: &[(&str, &str)]) -> Reply {
    let body = json!({ "version": "owner/name:abc", "input": { "prompt": prompt } }).to_string();
    let reply = server.call(Method::POST, PREDICTIONS, headers, &body).await;
    assert_eq!(reply.status, StatusCode::CREATED, "{}", reply.text());
    reply
}

fn path(prediction: &Value, url: &str) -> String {
    prediction["urls"][url].as_str().unwrap().strip_prefix("http://localhost").unwrap().to_owned()
}

fn job(prediction: &Value) -> String {
    format!("job_{}", prediction["id"].as_str().unwrap())
}

/// The prediction once it has ended.
async fn ended(server: &Server, prediction: &Value) -> Value {
    server.get(&format!("/v1/jobs/{}?wait=10", job(prediction))).await;
    server.get(&path(prediction, "get")).await.json()
}

/// The events of a stream: ids, names and data.
fn events(text: &str) -> Vec<(u64, &str, String)> {
    text.split_terminator("\n\n")
        .map(|piece| {
            let mut lines = piece.lines().filter(|line| !line.starts_with(':'));
            let id = lines.next().unwrap().strip_prefix("id: ").unwrap().parse().unwrap();
            let name = lines.next().unwrap().strip_prefix("event: ").unwrap();
            let data: Vec<&str> = lines.map(|line| line.strip_prefix("data: ").unwrap()).collect();
            (id, name, data.join("\n"))
        })
        .collect()
}

#[tokio::test]
async fn a_prediction_is_created_and_polled() {
    let server = Server::dialects().await;
    let created = create(&server, "a fox", &[]).await.json();
    assert_eq!((&created["status"], &created["output"]), (&json!("starting"), &Value::Null));
    assert_eq!((&created["model"], &created["version"]), (&json!("owner/name"), &json!("abc")));
    assert_eq!(path(&created, "get"), format!("{PREDICTIONS}/{}", created["id"].as_str().unwrap()));
    let done = ended(&server, &created).await;
    assert_eq!(
        (&done["status"], &done["error"], &done["logs"]),
        (&json!("succeeded"), &Value::Null, &json!("loading\npainting\n"))
    );
    assert_eq!(done["input"], json!({ "prompt": "a fox" }));
    assert_eq!(done["output"]["asked"]["model"], "owner/name:abc");
    assert!(done["metrics"]["predict_time"].is_number() && done["completed_at"].is_string());
}

#[tokio::test]
async fn a_model_is_called_by_its_name() {
    let server = Server::dialects().await;
    let reply = server.post("/replicate/v1/models/black-forest/flux/predictions", r#"{"input": {}}"#).await;
    let created = reply.json();
    assert_eq!((reply.status, &created["model"]), (StatusCode::CREATED, &json!("black-forest/flux")));
    assert_eq!(ended(&server, &created).await["output"]["asked"]["model"], "black-forest/flux");
}

#[tokio::test]
async fn who_waits_is_given_the_end_or_told_that_it_is_starting() {
    let server = Server::dialects().await;
    for wait in ["wait", "wait=10"] {
        let done = create(&server, "a fox", &[("prefer", wait)]).await;
        assert_eq!(done.json()["status"], "succeeded", "{wait}");
        assert!(done.header("preference-applied").is_some());
    }
    // It runs by then, but clients take any other word for the end.
    let waited = create(&server, "wait", &[("prefer", "wait=1")]).await.json();
    assert_eq!((&waited["status"], &waited["output"]), (&json!("starting"), &Value::Null));
    assert_eq!(server.get(&path(&waited, "get")).await.json()["status"], "processing");
}

#[tokio::test]
async fn a_wait_that_cannot_be_is_refused_before_a_prediction_exists() {
    let server = Server::dialects().await;
    let body = json!({ "version": "owner/name:abc", "input": { "prompt": "a fox" } }).to_string();
    for wrong in ["wait=abc", "wait=0", "wait=61", "wait=-1", "wait=", "respond-async, wait=1.5"] {
        let reply = server.call(Method::POST, PREDICTIONS, &[("prefer", wrong)], &body).await;
        let told = reply.json();
        assert_eq!((reply.status.as_u16(), &told["status"]), (422, &json!(422)), "{wrong}");
        assert!(told["title"].is_string() && told["detail"].as_str().unwrap().contains("wait=1 to wait=60"), "{told}");
    }
    assert_eq!(server.get(PREDICTIONS).await.json()["results"], json!([]));
    for (good, applied) in
        [("wait", "wait=60"), ("wait=1", "wait=1"), ("Wait=\"60\"", "wait=60"), ("a=b, wait=7", "wait=7")]
    {
        let done = create(&server, "a fox", &[("prefer", good)]).await;
        assert_eq!(done.header("preference-applied"), Some(applied), "{good}");
    }
    assert_eq!(create(&server, "a fox", &[("prefer", "respond-async")]).await.header("preference-applied"), None);
}

#[tokio::test]
async fn failed_and_cancelled_are_told_apart_and_stay() {
    let server = Server::dialects().await;
    let failed = create(&server, "refused", &[("prefer", "wait")]).await.json();
    assert_eq!((&failed["status"], &failed["error"]), (&json!("failed"), &json!("the upstream answered 422")));
    let running = create(&server, "wait", &[]).await.json();
    server.until(&job(&running), "started").await;
    let cancelled = server.post(&path(&running, "cancel"), "").await;
    assert_eq!(cancelled.status, StatusCode::OK);
    assert_eq!(ended(&server, &running).await["status"], "canceled");
    assert_eq!(server.post(&path(&failed, "cancel"), "").await.json()["status"], "failed");
}

#[tokio::test]
async fn every_event_of_the_stream_has_an_id_and_a_known_name() {
    let settings = ApiSettings { keyless: true, sse_heartbeat: Duration::from_millis(50), ..ApiSettings::default() };
    let server = Server::dialects_with(settings).await;
    let running = create(&server, "wait", &[]).await.json();
    let letting_go = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        server.gate.notify_one();
    };
    let url = path(&running, "stream");
    let (stream, ()) = tokio::join!(server.get(&url), letting_go);
    assert!(stream.text().contains("\n:\n") && !stream.text().contains(":\n\n"), "signs of life are comments alone");
    let events = events(stream.text());
    let names: Vec<&str> = events.iter().map(|(_, name, _)| *name).collect();
    assert_eq!(names, ["logs", "logs", "output", "done"]);
    assert_eq!((events[1].2.as_str(), events[3].2.as_str()), ("painting\n", "{}"));
    // And on after the last that was seen.
    let (seen, stream) = (events[0].0.to_string(), path(&running, "stream"));
    let rest = server.call(Method::GET, &stream, &[("last-event-id", &seen)], "").await;
    assert_eq!(self::events(rest.text()), events[1..]);
}

#[tokio::test]
async fn a_failed_stream_says_why() {
    let server = Server::dialects().await;
    let failed = create(&server, "refused", &[]).await.json();
    let stream = server.get(&path(&failed, "stream")).await;
    let mut events = events(stream.text());
    let done = events.pop().unwrap();
    let error = events.pop().unwrap();
    assert_eq!((done.1, done.2.as_str()), ("done", r#"{"reason":"error"}"#));
    assert_eq!((error.1, error.2.as_str()), ("error", r#"{"detail":"the upstream answered 422"}"#));
}

#[tokio::test]
async fn predictions_are_listed_in_pages() {
    let server = Server::dialects().await;
    server.engine.store().set_paused(&"image.generate".parse().unwrap(), true).await.unwrap();
    let mut created = Vec::new();
    for _ in 0..101 {
        created.push(create(&server, "a fox", &[]).await.json()["id"].clone());
    }
    // Another door's are no predictions.
    server.post("/fal/fal-ai/flux", "{}").await;
    created.reverse();
    let first = server.get(PREDICTIONS).await.json();
    let ids = |page: &Value| -> Vec<Value> {
        page["results"].as_array().unwrap().iter().map(|prediction| prediction["id"].clone()).collect()
    };
    assert_eq!((ids(&first), &first["previous"]), (created[..100].to_vec(), &Value::Null));
    let next = first["next"].as_str().unwrap().strip_prefix("http://localhost").unwrap();
    let last = server.get(next).await.json();
    assert_eq!((ids(&last), &last["next"]), (created[100..].to_vec(), &Value::Null));
}

#[tokio::test]
async fn what_cannot_be_is_refused_in_replicates_words() {
    let server = Server::dialects().await;
    for (body, status, word) in [
        (json!({ "version": "a", "input": {}, "webhook": "https://a.example" }), 422, "webhooks"),
        (json!({ "input": {} }), 422, "version"),
        (json!({ "version": "a b", "input": {} }), 422, "owner/name"),
        (json!({ "version": "a", "input": [1] }), 422, "object"),
    ] {
        let reply = server.post(PREDICTIONS, &body.to_string()).await;
        let told = reply.json();
        assert_eq!((reply.status.as_u16(), &told["status"]), (status, &json!(status)), "{body}");
        assert!(told["detail"].as_str().unwrap().contains(word) && told["title"].is_string(), "{told}");
    }
    let unknown = server.get(&format!("{PREDICTIONS}/019c5a3e0f4b7c3a9d2b1f6a0e8c7d11")).await;
    assert_eq!((unknown.status, &unknown.json()["status"]), (StatusCode::NOT_FOUND, &json!(404)));
}

#[tokio::test]
async fn a_prediction_is_hidden_from_other_tenants() {
    let server = Server::dialects_with(ApiSettings::default()).await;
    let ours = server.key("us", &[Scope::Submit, Scope::Read], None).await.replace("Bearer", "Token");
    let theirs = server.key("them", &[Scope::Submit, Scope::Read], None).await;
    let call = async |method: Method, path: &str, key: &str, body: &str| {
        server.send(request(method, path, &[("authorization", key)], body)).await
    };
    let body = r#"{"version": "a", "input": {}}"#;
    let created = call(Method::POST, PREDICTIONS, &ours, body).await.json();
    assert_eq!(call(Method::GET, &path(&created, "get"), &ours, "").await.status, StatusCode::OK);
    for (method, url) in [(Method::GET, "get"), (Method::POST, "cancel"), (Method::GET, "stream")] {
        assert_eq!(call(method, &path(&created, url), &theirs, "").await.status, StatusCode::NOT_FOUND, "{url}");
    }
    assert_eq!(call(Method::GET, PREDICTIONS, &theirs, "").await.json()["results"], json!([]));
}
