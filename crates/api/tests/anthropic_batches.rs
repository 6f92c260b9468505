//! The door of Anthropic's Message Batches.

use axum::http::{Method, StatusCode};
use raincheck_api::ApiSettings;
use raincheck_store::Scope;
use serde_json::{Value, json};

use crate::support::{Server, request};

const BATCHES: &str = "/anthropic/v1/messages/batches";

fn requests(models: &[&str]) -> String {
    let request = |(number, model)| json!({ "custom_id": format!("r{number}"), "params": { "model": model } });
    json!({ "requests": models.iter().enumerate().map(request).collect::<Vec<_>>() }).to_string()
}

async fn create(server: &Server, models: &[&str]) -> Value {
    let reply = server.post(BATCHES, &requests(models)).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
    reply.json()
}

fn id(batch: &Value) -> &str {
    batch["id"].as_str().unwrap()
}

fn job(batch: &Value) -> String {
    id(batch).replace("msgbatch_", "job_")
}

/// The batch once it has ended.
async fn ended(server: &Server, batch: &Value) -> Value {
    server.get(&format!("/v1/jobs/{}?wait=10", job(batch))).await;
    let batch = server.get(&format!("{BATCHES}/{}", id(batch))).await.json();
    assert_eq!(batch["processing_status"], "ended");
    batch
}

async fn results(server: &Server, batch: &Value) -> Vec<(String, String)> {
    let url = batch["results_url"].as_str().unwrap();
    let reply = server.get(url.strip_prefix("http://localhost").unwrap()).await;
    assert_eq!((reply.status, reply.header("content-type")), (StatusCode::OK, Some("application/x-jsonl")));
    let line = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (text(&line["custom_id"]), text(&line["result"]["type"]))
    };
    reply.text().lines().map(line).collect()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(id, result)| ((*id).to_owned(), (*result).to_owned())).collect()
}

#[tokio::test]
async fn a_batch_is_created_watched_and_read() {
    let server = Server::dialects().await;
    let batch = create(&server, &["wait", "refused", "hello"]).await;
    assert_eq!((&batch["type"], &batch["processing_status"]), (&json!("message_batch"), &json!("in_progress")));
    let counts = json!({ "processing": 3, "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0 });
    assert_eq!(batch["request_counts"], counts);
    for absent in ["ended_at", "results_url", "cancel_initiated_at", "archived_at"] {
        assert_eq!(batch[absent], Value::Null, "{absent}");
    }
    assert!(batch["created_at"].is_string() && batch["expires_at"].is_string());
    let early = server.get(&format!("{BATCHES}/{}/results", id(&batch))).await;
    assert_eq!((early.status.as_u16(), &early.json()["error"]["type"]), (400, &json!("invalid_request_error")));
    server.gate.notify_one();
    let batch = ended(&server, &batch).await;
    let counts = json!({ "processing": 0, "succeeded": 2, "errored": 1, "canceled": 0, "expired": 0 });
    assert_eq!(batch["request_counts"], counts);
    assert!(batch["ended_at"].is_string());
    let expected = pairs(&[("r0", "succeeded"), ("r1", "errored"), ("r2", "succeeded")]);
    assert_eq!(results(&server, &batch).await, expected);
}

#[tokio::test]
async fn a_cancelled_batch_tells_of_every_request() {
    let server = Server::dialects().await;
    let batch = create(&server, &["hello", "wait", "hello"]).await;
    server.until(&job(&batch), "step").await;
    let cancelled = server.post(&format!("{BATCHES}/{}/cancel", id(&batch)), "").await.json();
    assert!(["canceling", "ended"].contains(&cancelled["processing_status"].as_str().unwrap()), "{cancelled}");
    assert!(cancelled["cancel_initiated_at"].is_string());
    let batch = ended(&server, &batch).await;
    let counts = json!({ "processing": 0, "succeeded": 1, "errored": 0, "canceled": 2, "expired": 0 });
    assert_eq!(batch["request_counts"], counts);
    assert_eq!(batch["cancel_initiated_at"], cancelled["cancel_initiated_at"]);
    let expected = pairs(&[("r0", "succeeded"), ("r1", "canceled"), ("r2", "canceled")]);
    assert_eq!(results(&server, &batch).await, expected);
    let again = server.post(&format!("{BATCHES}/{}/cancel", id(&batch)), "").await;
    assert_eq!((again.status, again.json()), (StatusCode::OK, batch));
}

#[tokio::test]
async fn a_batch_that_never_began_can_be_cancelled() {
    let server = Server::dialects().await;
    server.engine.store().set_paused(&"llm.message_batch".parse().unwrap(), true).await.unwrap();
    let batch = create(&server, &["hello"]).await;
    let batch = server.post(&format!("{BATCHES}/{}/cancel", id(&batch)), "").await.json();
    assert_eq!((&batch["processing_status"], &batch["request_counts"]["canceled"]), (&json!("ended"), &json!(1)));
    assert_eq!(results(&server, &batch).await, pairs(&[("r0", "canceled")]));
}

#[tokio::test]
async fn batches_are_listed_and_deleted() {
    let server = Server::dialects().await;
    let mut created = Vec::new();
    for _ in 0..3 {
        created.push(id(&create(&server, &["hello"]).await).to_owned());
    }
    created.reverse();
    let first = server.get(&format!("{BATCHES}?limit=2")).await.json();
    let ids =
        |page: &Value| page["data"].as_array().unwrap().iter().map(|batch| id(batch).to_owned()).collect::<Vec<_>>();
    assert_eq!((ids(&first), &first["has_more"]), (created[..2].to_vec(), &json!(true)));
    assert_eq!((&first["first_id"], &first["last_id"]), (&json!(created[0]), &json!(created[1])));
    let rest = server.get(&format!("{BATCHES}?limit=2&after_id={}", created[1])).await.json();
    assert_eq!((ids(&rest), &rest["has_more"]), (created[2..].to_vec(), &json!(false)));
    // And back again.
    for (query, page, has_more) in [
        (format!("before_id={}", created[2]), &created[..2], false),
        (format!("limit=1&before_id={}", created[2]), &created[1..2], true),
        (format!("limit=1&before_id={}", created[1]), &created[..1], false),
        (format!("before_id={}", created[0]), &created[..0], false),
    ] {
        let told = server.get(&format!("{BATCHES}?{query}")).await.json();
        assert_eq!((ids(&told), &told["has_more"]), (page.to_vec(), &json!(has_more)), "{query}");
    }
    for (query, status) in [("before_id=msgbatch_1", 404), ("after_id=a&before_id=b", 400), ("limit=0", 400)] {
        assert_eq!(server.get(&format!("{BATCHES}?{query}")).await.status.as_u16(), status, "{query}");
    }

    let running = create(&server, &["wait"]).await;
    let refused = server.call(Method::DELETE, &format!("{BATCHES}/{}", id(&running)), &[], "").await;
    assert_eq!(
        (refused.status, &refused.json()["error"]["type"]),
        (StatusCode::BAD_REQUEST, &json!("invalid_request_error"))
    );
    ended(&server, &json!({ "id": created[0] })).await;
    let path = format!("{BATCHES}/{}", created[0]);
    let deleted = server.call(Method::DELETE, &path, &[], "").await;
    assert_eq!(deleted.json(), json!({ "id": created[0], "type": "message_batch_deleted" }));
    assert_eq!(server.get(&path).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_is_wrong_is_told_with_its_place() {
    let server = Server::dialects().await;
    let refused = server.post(BATCHES, r#"{"requests": []}"#).await;
    let told = refused.json()["error"].clone();
    assert_eq!((refused.status, &told["type"]), (StatusCode::BAD_REQUEST, &json!("invalid_request_error")));
    assert_eq!(told["message"], "input.requests: a batch has 1 to 9 requests");
    assert_eq!(server.post(BATCHES, "{}").await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn an_sdk_that_asks_once_more_is_given_the_batch_that_it_made() {
    let server = Server::dialects().await;
    let post = async |count: &str| {
        let headers = [("x-stainless-retry-count", count)];
        server.call(Method::POST, BATCHES, &headers, &requests(&["hello"])).await.json()["id"].clone()
    };
    let (first, again, other) = (post("0").await, post("1").await, post("0").await);
    assert_eq!(first, again);
    assert_ne!(first, other);
}

#[tokio::test]
async fn a_batch_is_hidden_from_other_tenants() {
    let server = Server::dialects_with(ApiSettings::default()).await;
    let ours = server.key("us", &[Scope::Submit, Scope::Read], None).await;
    let theirs = server.key("them", &[Scope::Submit, Scope::Read], None).await;
    let call = async |method: Method, path: &str, key: &str, body: &str| {
        server.send(request(method, path, &[("authorization", key)], body)).await
    };
    let batch = call(Method::POST, BATCHES, &ours, &requests(&["hello"])).await.json();
    let path = format!("{BATCHES}/{}", id(&batch));
    assert_eq!(call(Method::GET, &path, &ours, "").await.status, StatusCode::OK);
    for (method, path) in [
        (Method::GET, path.clone()),
        (Method::DELETE, path.clone()),
        (Method::POST, format!("{path}/cancel")),
        (Method::GET, format!("{path}/results")),
    ] {
        assert_eq!(call(method, &path, &theirs, "").await.status, StatusCode::NOT_FOUND, "{path}");
    }
    assert_eq!(call(Method::GET, BATCHES, &theirs, "").await.json()["data"], json!([]));
}
