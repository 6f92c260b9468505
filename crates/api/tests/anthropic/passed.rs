//! Messages that are passed through, to an upstream that a test holds in its hand.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::body::Bytes;
use axum::http::{Method, Response, StatusCode};
use futures_util::{StreamExt, stream};
use raincheck_api::{ApiSettings, Doors, NotPassed, Passage, Passed, PassedBody};
use raincheck_core::{Problem, ProblemType};
use serde_json::json;
use tokio::sync::Notify;

use super::{ASYNC, asks};
use crate::support::Server;

/// An upstream that answers as the model says ("wait" once it is let go), and remembers what it was sent.
#[derive(Clone, Default)]
struct Upstream(Arc<Mutex<Vec<Passed>>>, Arc<Notify>);

#[async_trait]
impl Passage for Upstream {
    async fn pass(&self, call: Passed) -> Result<Response<PassedBody>, NotPassed> {
        self.0.lock().unwrap().push(call.clone());
        let failed = |status, kind: &str| {
            let error = json!({ "type": "error", "error": { "type": kind, "message": "no" } });
            let problem = Problem::new(ProblemType::HANDLER_FAILED, "the upstream refused");
            let refusal = Response::builder().header("request-id", "req_theirs").header("retry-after", "4000");
            let refusal = refusal.header("anthropic-ratelimit-requests-remaining", "0");
            let refusal = refusal.header("anthropic-organization-id", "ours-to-know").body(()).unwrap();
            let problem = problem.of_upstream(status, Some(error.into()));
            let (retry_after, headers) = (Some(Duration::from_secs(3_600)), refusal.headers().clone().into());
            NotPassed { problem, retry_after, headers }
        };
        match call.model.as_str() {
            "overloaded" => return Err(failed(529, "overloaded_error")),
            "throttled" => return Err(failed(429, "rate_limit_error")),
            model if model.starts_with("answers ") => {
                let status = model["answers ".len()..].parse().unwrap();
                let problem = Problem::new(ProblemType::UPSTREAM_REFUSED, "one has failed").of_upstream(status, None);
                return Err(NotPassed { retry_after: Some(Duration::from_secs(7)), ..NotPassed::new(problem) });
            }
            "not reached" => {
                return Err(NotPassed::new(Problem::new(ProblemType::UPSTREAM_FAILED, "one is not reached")));
            }
            "unreachable" => {
                let problem = Problem::new(ProblemType::OVERLOADED, "the upstream takes no more calls");
                return Err(NotPassed { retry_after: Some(Duration::from_secs(900)), ..NotPassed::new(problem) });
            }
            "wait" => self.1.notified().await,
            _ => {}
        }
        let pieces = ["event: message_start\n", "data: {\"type\":\"message_start\"}\n\n", ": theirs\n\n"];
        let body = stream::iter(pieces).map(|piece| Ok(Bytes::from_static(piece.as_bytes()))).boxed();
        let response = Response::builder()
            .header("content-type", "text/event-stream; charset=utf-8")
            .header("request-id", "req_theirs")
            .header("anthropic-ratelimit-requests-remaining", "7")
            .header("set-cookie", "theirs=1")
            .header("raincheck-served-by", "claude/hello");
        Ok(response.body(body).unwrap())
    }

    fn models(&self, protocol: &str) -> Vec<(String, String)> {
        let listed = [("claude-b", "one"), ("anthropic/claude-a", "two"), ("claude-b", "two"), ("claude-c", "one")];
        assert_eq!(protocol, "anthropic");
        listed.map(|(model, upstream)| (model.to_owned(), upstream.to_owned())).to_vec()
    }
}

#[tokio::test]
async fn models_are_those_that_upstreams_list() {
    let doors = Doors { passage: Some(Arc::new(Upstream::default())), ..Doors::default() };
    let server = Server::dialects_with(ApiSettings { keyless: true, doors, ..ApiSettings::default() }).await;
    let list = async |query: &str| {
        let page = server.get(&format!("/anthropic/v1/models{query}")).await.json();
        let ids: Vec<String> =
            page["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap().to_owned()).collect();
        assert_eq!(
            (page["first_id"].as_str(), page["last_id"].as_str()),
            (ids.first().map(|id| &**id), ids.last().map(|id| &**id))
        );
        (ids.join(" "), page["has_more"].as_bool().unwrap())
    };
    assert_eq!(list("").await, ("anthropic/claude-a claude-b claude-c".into(), false));
    assert_eq!(list("?limit=2").await, ("anthropic/claude-a claude-b".into(), true));
    assert_eq!(list("?after_id=claude-b").await, ("claude-c".into(), false));
    assert_eq!(list("?limit=1&before_id=claude-c").await, ("claude-b".into(), true));
    let model = server.get("/anthropic/v1/models/anthropic/claude-a").await.json();
    let expected = json!({
        "type": "model", "id": "anthropic/claude-a", "display_name": "anthropic/claude-a",
        "created_at": "1970-01-01T00:00:00.000Z", "lifecycle": "active",
    });
    assert_eq!(model, expected);
    for path in ["/anthropic/v1/models/other", "/anthropic/v1/models?after_id=other"] {
        let reply = server.get(path).await;
        assert_eq!((reply.status, &reply.json()["error"]["type"]), (StatusCode::NOT_FOUND, &json!("not_found_error")));
    }
}

#[tokio::test]
async fn a_message_is_passed_through_as_it_is() {
    let upstream = Upstream::default();
    let doors = Doors { passage: Some(Arc::new(upstream.clone())), ..Doors::default() };
    let server = Server::dialects_with(ApiSettings { keyless: true, doors, ..ApiSettings::default() }).await;
    let beta = ("anthropic-beta", "context-1m-2025-08-07");
    let headers = [beta, ("anthropic-version", "2026-10-21"), ("x-api-key", "sk-ant-theirs"), ("cookie", "a=b")];
    let body = r#"{"model": "hello", "stream": true, "temperature": 1.10}"#;
    let reply = server.call(Method::POST, "/anthropic/v1/messages", &headers, body).await;
    assert_eq!(reply.text(), "event: message_start\ndata: {\"type\":\"message_start\"}\n\n: theirs\n\n");
    assert_eq!(reply.header("request-id"), Some("req_theirs"));
    assert_eq!(reply.header("anthropic-ratelimit-requests-remaining"), Some("7"));
    assert_eq!(reply.header("raincheck-served-by"), Some("claude/hello"));
    assert_eq!(reply.header("set-cookie"), None);
    let sent = upstream.0.lock().unwrap()[0].clone();
    assert_eq!((sent.path.as_str(), sent.body.as_ref()), ("v1/messages", body.as_bytes()));
    assert!(sent.headers["anthropic-version"] == "2026-10-21" && sent.headers[beta.0] == beta.1, "{sent:?}");
    assert!(
        sent.headers.get("x-api-key").is_none() && sent.headers.get("cookie").is_none(),
        "the caller's key stays here"
    );
    assert_eq!(sent.upstream, None);
    let counted = server.post("/anthropic/v1/messages/count_tokens", &asks("hello")).await;
    assert_eq!(counted.status, StatusCode::OK);
    assert_eq!(upstream.0.lock().unwrap()[1].path, "v1/messages/count_tokens");
    // Which of two models would the upstream take?
    let twice = server.post("/anthropic/v1/messages", r#"{"model": "hello", "model": "dear"}"#).await;
    assert_eq!((twice.status, upstream.0.lock().unwrap().len()), (StatusCode::BAD_REQUEST, 2));
    // An upstream that the body names is called, and not told of it.
    server.post("/anthropic/v1/messages", r#"{"model": "hello", "upstream": "two", "temperature": 1.10}"#).await;
    let sent = upstream.0.lock().unwrap()[2].clone();
    assert_eq!(
        (sent.upstream.as_deref(), &sent.body[..]),
        (Some("two"), &br#"{"model":"hello","temperature":1.10}"#[..])
    );
}

#[tokio::test(start_paused = true)]
async fn an_sdk_that_asks_once_more_is_given_the_message_that_is_being_made() {
    let upstream = Upstream::default();
    let doors = Doors { passage: Some(Arc::new(upstream.clone())), ..Doors::default() };
    let server = Server::dialects_with(ApiSettings { keyless: true, doors, ..ApiSettings::default() }).await;
    let (first, again) = ([("x-stainless-retry-count", "0")], [("x-stainless-retry-count", "1")]);
    let body = asks("wait");
    let post = async |headers: &[(&str, &str)]| {
        server.call(Method::POST, "/anthropic/v1/messages", headers, &body).await.status
    };
    // Its client gives up while it waits.
    assert!(tokio::time::timeout(Duration::from_secs(5), post(&first)).await.is_err());
    upstream.1.notify_one();
    assert_eq!((post(&again).await, upstream.0.lock().unwrap().len()), (StatusCode::OK, 1));
    // And as a job.
    let post = async |count: (&str, &str), model: &str| {
        server.call(Method::POST, "/anthropic/v1/messages", &[ASYNC, count], &asks(model)).await
    };
    let made = post(first[0], "wait").await.id();
    let repeated = post(again[0], "wait").await;
    assert_eq!((repeated.id(), repeated.header("idempotency-replayed")), (made.clone(), Some("true")));
    assert_ne!(post(first[0], "wait").await.id(), made, "whoever asks for the first time wants a message of their own");
    assert_ne!(post(again[0], "hello").await.id(), made);
}

#[tokio::test(start_paused = true)]
async fn messages_with_one_key_are_one_message_streamed_or_not() {
    let upstream = Upstream::default();
    let doors = Doors { passage: Some(Arc::new(upstream.clone())), ..Doors::default() };
    let server = Server::dialects_with(ApiSettings { keyless: true, doors, ..ApiSettings::default() }).await;
    let post = async |key: &str, body: &serde_json::Value| {
        let key = ("idempotency-key", key);
        server.call(Method::POST, "/anthropic/v1/messages", &[key], &body.to_string()).await
    };
    for (number, stream) in [false, true].into_iter().enumerate() {
        let body = json!({ "model": "wait", "stream": stream, "max_tokens": 9 });
        let key = format!("order-{number}");
        let (one, two, ()) = tokio::join!(post(&key, &body), post(&key, &body), async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            upstream.1.notify_one();
        });
        // At the same time, and afterwards.
        let three = post(&key, &body).await;
        for reply in [&one, &two, &three] {
            assert_eq!((reply.status, reply.text()), (StatusCode::OK, one.text()));
            assert!(reply.text().contains("message_start"), "{}", reply.text());
        }
        let replayed = |reply: &crate::support::Reply| reply.header("idempotency-replayed").is_some();
        assert_eq!((replayed(&one) != replayed(&two), replayed(&three)), (true, true));
        assert_eq!(upstream.0.lock().unwrap().len(), number + 1);
        let other = post(&key, &json!({ "model": "hello", "stream": stream, "max_tokens": 9 })).await;
        assert_eq!(other.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", other.text());
        let told = other.json();
        assert_eq!(
            (&told["type"], &told["error"]["type"]),
            (&json!("error"), &json!("invalid_request_error")),
            "{told}"
        );
        assert!(told["error"]["message"].as_str().unwrap().contains("Idempotency-Key"), "{told}");
        assert_eq!(upstream.0.lock().unwrap().len(), number + 1);
    }
}

#[tokio::test(start_paused = true)]
async fn an_sdk_that_asks_once_more_is_given_the_stream_that_nobody_has_read() {
    let upstream = Upstream::default();
    let doors = Doors { passage: Some(Arc::new(upstream.clone())), ..Doors::default() };
    let server = Server::dialects_with(ApiSettings { keyless: true, doors, ..ApiSettings::default() }).await;
    let body = json!({ "model": "wait", "stream": true, "max_tokens": 9 }).to_string();
    let post = async |count: &str| {
        server.call(Method::POST, "/anthropic/v1/messages", &[("x-stainless-retry-count", count)], &body).await
    };
    assert!(tokio::time::timeout(Duration::from_secs(5), post("0")).await.is_err());
    upstream.1.notify_one();
    tokio::time::sleep(Duration::from_secs(20)).await;
    let again = post("1").await;
    assert_eq!((again.status, upstream.0.lock().unwrap().len()), (StatusCode::OK, 1));
    assert!(again.text().starts_with("event: message_start"), "{}", again.text());
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
}

#[tokio::test]
async fn an_upstream_that_fails_is_told_as_one_behind_this_server() {
    let doors = Doors { passage: Some(Arc::new(Upstream::default())), ..Doors::default() };
    let server = Server::dialects_with(ApiSettings { keyless: true, doors, ..ApiSettings::default() }).await;
    for (model, status, kind) in [
        ("answers 500", 502, "api_error"),
        ("answers 302", 502, "api_error"),
        ("answers 504", 502, "api_error"),
        ("answers 503", 529, "overloaded_error"),
        ("not reached", 502, "api_error"),
    ] {
        let reply = server.post("/anthropic/v1/messages", &asks(model)).await;
        assert_eq!((reply.status.as_u16(), &reply.json()["error"]["type"]), (status, &json!(kind)), "{model}");
        let wait = model.starts_with("answers").then_some("7");
        assert_eq!(reply.header("retry-after"), wait, "{model}");
    }
}

#[tokio::test]
async fn too_much_stays_too_much() {
    let doors = Doors { passage: Some(Arc::new(Upstream::default())), ..Doors::default() };
    let server = Server::dialects_with(ApiSettings { keyless: true, doors, ..ApiSettings::default() }).await;
    for (model, status, kind) in [("overloaded", 529, "overloaded_error"), ("throttled", 429, "rate_limit_error")] {
        let reply = server.post("/anthropic/v1/messages", &asks(model)).await;
        assert_eq!((reply.status.as_u16(), &reply.json()["error"]["type"]), (status, &json!(kind)));
        // As the upstream said it; its gate has asked again as often as that could help.
        assert_eq!((reply.header("retry-after"), reply.header("x-should-retry")), (Some("4000"), Some("false")));
        assert_eq!(
            (reply.header("request-id"), &reply.json()["request_id"]),
            (Some("req_theirs"), &json!("req_theirs"))
        );
        assert_eq!(reply.header("anthropic-ratelimit-requests-remaining"), Some("0"));
        assert_eq!(reply.header("anthropic-organization-id"), None, "whose account it is stays here");
    }
    // What this server says itself is never slept for by an SDK that takes any wait at its word.
    let reply = server.post("/anthropic/v1/messages", &asks("unreachable")).await;
    assert_eq!((reply.status.as_u16(), &reply.json()["error"]["type"]), (529, &json!("overloaded_error")));
    assert_eq!((reply.header("retry-after"), reply.header("x-should-retry")), (Some("60"), None));
}
