//! The door of FAL's queue, as its clients call it.

mod late;

use std::time::Duration;

use axum::http::{Method, StatusCode};
use raincheck_api::ApiSettings;
use raincheck_store::Scope;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::{Reply, Server, request};

async fn submit(server: &Server, prompt: &str) -> Value {
    let reply = server.post("/fal/fal-ai/flux/dev", &json!({ "prompt": prompt }).to_string()).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
    reply.json()
}

/// The path of an address in an answer.
fn path(request: &Value, field: &str) -> String {
    request[field].as_str().unwrap().strip_prefix("http://localhost").unwrap().to_owned()
}

fn job(request: &Value) -> String {
    format!("job_{}", request["request_id"].as_str().unwrap().replace('-', ""))
}

/// Asks for the status until it says so.
async fn until(server: &Server, request: &Value, status: &str) -> Reply {
    loop {
        let reply = server.get(&format!("{}?logs=1", path(request, "status_url"))).await;
        if reply.json()["status"] == status {
            return reply;
        }
        assert_ne!(reply.json()["status"], "COMPLETED", "{}", reply.text());
    }
}

#[tokio::test]
async fn a_request_is_submitted_watched_and_fetched() {
    let server = Server::dialects().await;
    let request = submit(&server, "a fox").await;
    assert_eq!((&request["status"], &request["queue_position"]), (&json!("IN_QUEUE"), &json!(0)));
    let id = request["request_id"].as_str().unwrap();
    assert_eq!(path(&request, "response_url"), format!("/fal/fal-ai/flux/requests/{id}"));
    assert_eq!(path(&request, "cancel_url"), format!("/fal/fal-ai/flux/requests/{id}/cancel"));
    let done = until(&server, &request, "COMPLETED").await;
    assert_eq!(done.status, StatusCode::OK);
    let done = done.json();
    let messages: Vec<&Value> = done["logs"].as_array().unwrap().iter().map(|log| &log["message"]).collect();
    assert_eq!(messages, ["loading", "painting"]);
    assert!(done["metrics"]["inference_time"].is_number() && done.get("error").is_none(), "{done}");
    let result = server.get(&path(&request, "response_url")).await;
    assert_eq!((result.status, result.header("x-fal-request-id")), (StatusCode::OK, Some(id)));
    assert!(result.text().contains("\"seed\":1.10"), "numbers keep their digits: {}", result.text());
    assert_eq!(result.json()["asked"], json!({ "model": "fal-ai/flux/dev", "input": { "prompt": "a fox" } }));
}

#[tokio::test]
async fn addresses_are_those_that_the_client_knows() {
    let server = Server::dialects().await;
    let headers = [("x-forwarded-proto", "https"), ("host", "127.0.0.1:8443")];
    let reply = server.call(Method::POST, "/fal/workflows/me/mine/now", &headers, "{}").await;
    let url = reply.json()["status_url"].as_str().unwrap().to_owned();
    assert!(url.starts_with("https://127.0.0.1:8443/fal/workflows/me/mine/requests/"), "{url}");
}

#[tokio::test]
async fn every_status_has_what_the_clients_read() {
    let server = Server::dialects().await;
    let request = submit(&server, "wait").await;
    server.until(&job(&request), "progress").await;
    let running = server.get(&format!("{}?logs=False", path(&request, "status_url"))).await;
    assert_eq!(running.status, StatusCode::ACCEPTED);
    assert_eq!((&running.json()["status"], &running.json()["logs"]), (&json!("IN_PROGRESS"), &Value::Null));
    let early = server.get(&path(&request, "response_url")).await;
    assert_eq!(
        (early.status, &early.json()["detail"]),
        (StatusCode::BAD_REQUEST, &json!("Request is still in progress"))
    );
    // A new one waits while its queue is paused.
    server.engine.store().set_paused(&"image.generate".parse().unwrap(), true).await.unwrap();
    let queued = submit(&server, "a fox").await;
    let status = server.get(&path(&queued, "status_url")).await.json();
    assert_eq!((&status["status"], &status["queue_position"]), (&json!("IN_QUEUE"), &json!(0)));
}

#[tokio::test]
async fn a_held_status_is_answered_once_it_changes() {
    let server = Server::dialects().await;
    let request = submit(&server, "wait").await;
    server.until(&job(&request), "progress").await;
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    let (begun, url) = (Instant::now(), path(&request, "status_url"));
    let letting_go = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        server.gate.notify_one();
    };
    let (reply, ()) = tokio::join!(server.get(&url), letting_go);
    assert_eq!(reply.json()["status"], "COMPLETED");
    assert!(begun.elapsed() >= Duration::from_millis(300), "it was not held");
}

/// A status that is asked for as FAL's Python client does, 100 ms after each answer, takes no request for each line of a log.
#[tokio::test(start_paused = true)]
async fn what_always_has_news_is_not_asked_for_ten_times_a_second() {
    let server = Server::in_time().await;
    let request = submit(&server, "talkative").await;
    let url = format!("{}?logs=true", path(&request, "status_url"));
    let mut told = Vec::new();
    let ended = loop {
        let status = server.get(&url).await.json();
        if status["status"] == "COMPLETED" {
            break status;
        }
        told.push(status["status"].clone());
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    let job = server.engine.get(job(&request).parse().unwrap(), None).await.unwrap().unwrap();
    let late = server.engine.clock().now().since(job.life.finished_at.unwrap());
    assert!(late <= Duration::from_millis(100), "its end was told {late:?} late");
    assert!((5..15).contains(&told.len()), "asked {} times", told.len());
    assert_eq!(told.last(), Some(&json!("IN_PROGRESS")));
    let lines: Vec<&str> =
        ended["logs"].as_array().unwrap().iter().map(|log| log["message"].as_str().unwrap()).collect();
    // Not every line is recorded, but the last is.
    assert!(lines.len() >= 20 && lines.contains(&"line 39"), "{lines:?}");
}

#[tokio::test]
async fn a_request_is_found_under_its_own_app_alone() {
    let server = Server::dialects().await;
    let request = submit(&server, "wait").await;
    let id = request["request_id"].as_str().unwrap();
    for app in ["other/app", "fal-ai/other", "fal-ai/other/dev"] {
        for (method, what) in
            [(Method::GET, "/status"), (Method::GET, "/status/stream"), (Method::GET, ""), (Method::PUT, "/cancel")]
        {
            let none = server.call(method, &format!("/fal/{app}/requests/{id}{what}"), &[], "").await;
            assert_eq!(
                (none.status, &none.json()["error_type"]),
                (StatusCode::NOT_FOUND, &json!("not_found")),
                "{app}"
            );
        }
    }
    // By its whole endpoint it is found, too.
    let whole = server.get(&format!("/fal/fal-ai/flux/dev/requests/{id}/status")).await;
    assert_eq!(whole.status, StatusCode::ACCEPTED);
}

#[tokio::test]
async fn what_fails_is_completed_with_an_error() {
    let server = Server::dialects().await;
    let refused = submit(&server, "refused").await;
    let status = until(&server, &refused, "COMPLETED").await.json();
    assert_eq!(
        (&status["error"], &status["error_type"]),
        (&json!("the upstream answered 422"), &json!("handler_failed"))
    );
    let result = server.get(&path(&refused, "response_url")).await;
    assert_eq!(result.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(result.json()["detail"][0]["msg"], "too rude", "the provider's own words");
    // Not with a status that would only be asked for again.
    let throttled = submit(&server, "throttled").await;
    until(&server, &throttled, "COMPLETED").await;
    let result = server.get(&path(&throttled, "response_url")).await;
    assert_eq!(result.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(result.json()["error_type"], "handler_failed");
}

#[tokio::test]
async fn a_cancelled_request_stays_cancelled() {
    let server = Server::dialects().await;
    let request = submit(&server, "wait").await;
    server.until(&job(&request), "started").await;
    let cancel = path(&request, "cancel_url");
    let cancelled = server.call(Method::PUT, &cancel, &[], "").await;
    let expected = json!({ "status": "CANCELLATION_REQUESTED" });
    assert_eq!((cancelled.status, cancelled.json()), (StatusCode::ACCEPTED, expected));
    let status = until(&server, &request, "COMPLETED").await.json();
    assert_eq!(status["error_type"], "client_cancelled");
    assert_eq!(server.get(&path(&request, "response_url")).await.status, StatusCode::GONE);
    let again = server.call(Method::PUT, &cancel, &[], "").await;
    assert_eq!((again.status, &again.json()["status"]), (StatusCode::BAD_REQUEST, &json!("ALREADY_COMPLETED")));
    let get = server.get(&cancel).await;
    assert_eq!((get.status, get.json()["error_type"].clone()), (StatusCode::NOT_FOUND, json!("not_found")));
}

#[tokio::test]
async fn a_low_priority_gives_way() {
    let server = Server::dialects().await;
    for (said, priority) in [("low", "P7"), ("normal", "P5")] {
        let headers = [("x-fal-queue-priority", said), ("x-fal-runner-hint", "any")];
        let request = server.call(Method::POST, "/fal/fal-ai/flux", &headers, "{}").await.json();
        assert_eq!(server.get(&format!("/v1/jobs/{}", job(&request))).await.json()["priority"], priority, "{said}");
    }
}

#[tokio::test]
async fn the_status_stream_has_data_alone_and_each_line_once() {
    let server = Server::dialects().await;
    let request = submit(&server, "a fox").await;
    let stream = server.get(&format!("{}/stream?logs=1", path(&request, "status_url"))).await;
    assert!(stream.header("content-type").unwrap().starts_with("text/event-stream"));
    let pieces: Vec<Value> = stream
        .text()
        .split_terminator("\n\n")
        .map(|piece| serde_json::from_str(piece.strip_prefix("data: ").unwrap()).unwrap())
        .collect();
    assert_eq!(pieces.last().unwrap()["status"], "COMPLETED");
    assert!(pieces.iter().rev().skip(1).all(|piece| piece["status"] != "COMPLETED"), "{pieces:?}");
    let messages: Vec<&Value> = pieces
        .iter()
        .flat_map(|piece| piece["logs"].as_array().into_iter().flatten())
        .map(|log| &log["message"])
        .collect();
    assert_eq!(messages, ["loading", "painting"]);
}

#[tokio::test]
async fn a_synchronous_call_waits_for_its_result() {
    let server = Server::dialects().await;
    let reply = server.post("/fal/run/fal-ai/flux", r#"{"prompt": "a fox"}"#).await;
    assert_eq!((reply.status, &reply.json()["asked"]["model"]), (StatusCode::OK, &json!("fal-ai/flux")));
    assert_eq!(
        server.post("/fal/run/fal-ai/flux", r#"{"prompt": "refused"}"#).await.status,
        StatusCode::UNPROCESSABLE_ENTITY
    );
}

#[tokio::test]
async fn the_javascript_client_reaches_it_as_a_proxy() {
    let server = Server::dialects().await;
    let through = async |method: Method, url: &str, body: &str| {
        server.call(method, "/fal", &[("x-fal-target-url", url)], body).await
    };
    let request = through(Method::POST, "https://queue.fal.run/fal-ai/flux/dev", r#"{"prompt": "a fox"}"#).await.json();
    let url = format!("https://queue.fal.run/fal-ai/flux/requests/{}", request["request_id"].as_str().unwrap());
    while through(Method::GET, &format!("{url}/status?logs=0"), "").await.json()["status"] != "COMPLETED" {}
    assert_eq!(through(Method::GET, &url, "").await.json()["asked"]["model"], "fal-ai/flux/dev");
    let run = through(Method::POST, "https://fal.run/fal-ai/flux", "{}").await;
    assert_eq!((run.status, &run.json()["asked"]["input"]), (StatusCode::OK, &json!({})));
    for elsewhere in ["https://rest.fal.ai/storage/upload/initiate", "https://evil.example/a/b", "/a/b"] {
        assert_eq!(through(Method::POST, elsewhere, "{}").await.status, StatusCode::NOT_FOUND, "{elsewhere}");
    }
}

#[tokio::test]
async fn a_repeated_request_is_the_same_request() {
    let server = Server::dialects().await;
    let post =
        async |path: &str| server.call(Method::POST, path, &[("idempotency-key", "k")], r#"{"prompt": "x"}"#).await;
    let (first, second) = (post("/fal/fal-ai/flux").await, post("/fal/fal-ai/flux").await);
    assert_eq!(first.json()["request_id"], second.json()["request_id"]);
    assert_eq!(second.header("idempotency-replayed"), Some("true"));
    assert_eq!(post("/fal/fal-ai/other").await.status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn what_cannot_be_is_refused_in_fals_words() {
    let server = Server::dialects().await;
    for (path, body, status, error) in [
        ("/fal/fal-ai/flux?fal_webhook=https%3A%2F%2F10.0.0.1", "{}", 422, "invalid_request"),
        ("/fal/fal-ai/flux", "[1]", 422, "invalid_request"),
        ("/fal/fal-ai/flux", "{", 400, "malformed_request"),
        ("/fal/flux", "{}", 404, "not_found"),
        ("/fal", "{}", 404, "not_found"),
    ] {
        let reply = server.post(path, body).await;
        assert_eq!(
            (reply.status.as_u16(), reply.json()["error_type"].as_str()),
            (status, Some(error)),
            "{path} {body}"
        );
        assert!(reply.json()["detail"].is_string() && reply.header("content-type") == Some("application/json"));
    }
    let unknown = server.get("/fal/fal-ai/flux/requests/019c5a3e-0f4b-7c3a-9d2b-1f6a0e8c7d11/status").await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    let other = server.call(Method::DELETE, "/fal/fal-ai/flux", &[], "").await;
    assert_eq!((other.status, other.header("allow").is_some()), (StatusCode::METHOD_NOT_ALLOWED, true));
}

#[tokio::test]
async fn keys_come_as_fals_do_and_hide_what_is_others() {
    let server = Server::dialects_with(ApiSettings::default()).await;
    let key = async |tenant: &str, scopes: &[Scope]| server.key(tenant, scopes, None).await.replace("Bearer", "Key");
    let (ours, theirs) = (key("us", &[Scope::Submit, Scope::Read]).await, key("them", &[Scope::Read]).await);
    let call = async |method: Method, path: &str, key: &str| {
        server.send(request(method, path, &[("authorization", key)], "")).await
    };
    let accepted = call(Method::POST, "/fal/fal-ai/flux", &ours).await;
    let status = path(&accepted.json(), "status_url");
    assert!(call(Method::GET, &status, &ours).await.status.is_success());
    assert_eq!(call(Method::GET, &status, &theirs).await.status, StatusCode::NOT_FOUND);
    assert_eq!(call(Method::POST, "/fal/fal-ai/flux", &theirs).await.status, StatusCode::FORBIDDEN);
    let none = call(Method::GET, &status, "Key fal-key:secret").await;
    assert_eq!((none.status, none.json()["error_type"].clone()), (StatusCode::UNAUTHORIZED, json!("unauthenticated")));
}

#[tokio::test]
async fn where_no_key_is_needed_any_will_do() {
    let server = Server::dialects().await;
    let headers = [("authorization", "Key anything")];
    assert_eq!(server.call(Method::POST, "/fal/fal-ai/flux", &headers, "{}").await.status, StatusCode::OK);
    assert_eq!(server.call(Method::GET, "/v1/jobs", &headers, "").await.status, StatusCode::UNAUTHORIZED);
}
