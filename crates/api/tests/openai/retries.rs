use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::http::{Method, StatusCode};
use raincheck_api::ApiSettings;
use raincheck_store::Scope;
use serde_json::json;

use super::passed::{CHAT, Upstream, server};
use super::{RESPONSES, call};
use crate::support::Server;

const FIRST: (&str, &str) = ("x-stainless-retry-count", "0");
const SECOND: (&str, &str) = ("x-stainless-retry-count", "1");

#[tokio::test]
async fn an_sdk_that_asks_once_more_is_given_the_response_that_is_being_made() {
    let server = Server::dialects().await;
    let body = json!({ "model": "m", "input": "wait", "background": true });
    let first = call(&server, Method::POST, RESPONSES, &[FIRST], &body).await;
    let again = call(&server, Method::POST, RESPONSES, &[SECOND], &body).await;
    assert_eq!((again.status, &again.json()["id"]), (StatusCode::ACCEPTED, &first.json()["id"]));
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    // Whoever asks for the first time wants an answer of their own, and so does one who asks for something else.
    let other = call(&server, Method::POST, RESPONSES, &[FIRST], &body).await;
    assert_ne!(other.json()["id"], first.json()["id"]);
    let body = json!({ "model": "m", "input": "hello", "background": true });
    let else_ = call(&server, Method::POST, RESPONSES, &[SECOND], &body).await;
    assert_ne!(else_.json()["id"], first.json()["id"]);
    let key = [SECOND, ("idempotency-key", "mine")];
    let keyed = call(&server, Method::POST, RESPONSES, &key, &body).await;
    assert_ne!(keyed.json()["id"], else_.json()["id"], "a key of the caller's own says what is the same");
    let keyed_again = call(&server, Method::POST, RESPONSES, &key, &body).await;
    assert_eq!(keyed_again.json()["id"], keyed.json()["id"]);
}

#[tokio::test]
async fn requests_of_another_key_are_never_the_same() {
    let server = Server::dialects_with(ApiSettings::default()).await;
    let (one, other) =
        (server.key("voice", &[Scope::Submit], None).await, server.key("voice", &[Scope::Submit], None).await);
    let body = json!({ "model": "m", "input": "hello", "background": true });
    let ids = [(&one, FIRST), (&other, SECOND), (&one, SECOND)].map(async |(key, count)| {
        call(&server, Method::POST, RESPONSES, &[count, ("authorization", key)], &body).await.json()["id"].clone()
    });
    let [first, second, third] = ids;
    let (first, second, third) = (first.await, second.await, third.await);
    assert_ne!(first, second);
    assert_eq!(first, third);
}

#[tokio::test(start_paused = true)]
async fn an_sdk_that_lost_its_connection_is_given_the_call_that_is_being_made() {
    let upstream = Upstream::default();
    let server = server(&upstream).await;
    let body = json!({ "model": "wait", "messages": [] });
    let first = call(&server, Method::POST, CHAT, &[FIRST], &body);
    // Its client gives up while it waits.
    assert!(tokio::time::timeout(Duration::from_secs(5), first).await.is_err());
    let again = call(&server, Method::POST, CHAT, &[SECOND], &body);
    let (again, ()) = tokio::join!(again, async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        upstream.gate.notify_one();
    });
    assert_eq!((again.status, upstream.calls.load(Ordering::SeqCst)), (StatusCode::OK, 1));
    // What was taken is not given again.
    upstream.gate.notify_one();
    call(&server, Method::POST, CHAT, &[SECOND], &body).await;
    assert_eq!(upstream.calls.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_nobody_took_waits_for_the_sdk_to_ask_again() {
    let upstream = Upstream::default();
    let server = server(&upstream).await;
    let body = json!({ "model": "wait", "messages": [] });
    let first = call(&server, Method::POST, CHAT, &[FIRST], &body);
    assert!(tokio::time::timeout(Duration::from_secs(5), first).await.is_err());
    upstream.gate.notify_one();
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(call(&server, Method::POST, CHAT, &[SECOND], &body).await.status, StatusCode::OK);
    assert_eq!(upstream.calls.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_nobody_waits_for_any_more_is_given_up() {
    let upstream = Upstream::default();
    let server = server(&upstream).await;
    let body = json!({ "model": "wait", "messages": [] });
    let first = call(&server, Method::POST, CHAT, &[FIRST], &body);
    assert!(tokio::time::timeout(Duration::from_secs(5), first).await.is_err());
    tokio::time::sleep(Duration::from_secs(31)).await;
    upstream.gate.notify_one();
    assert_eq!(call(&server, Method::POST, CHAT, &[SECOND], &body).await.status, StatusCode::OK);
    assert_eq!(upstream.calls.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn calls_that_happen_to_be_the_same_are_each_made() {
    let upstream = Upstream::default();
    let server = server(&upstream).await;
    let body = json!({ "model": "wait", "messages": [] });
    let let_go = async {
        for _ in 0..2 {
            upstream.arrived.notified().await;
        }
        upstream.gate.notify_waiters();
        upstream.gate.notify_one();
        upstream.gate.notify_one();
    };
    let one = call(&server, Method::POST, CHAT, &[FIRST], &body);
    let other = call(&server, Method::POST, CHAT, &[FIRST], &body);
    let (one, other, ()) = tokio::join!(one, other, let_go);
    assert_eq!((one.status, other.status), (StatusCode::OK, StatusCode::OK));
    assert_eq!(upstream.calls.load(Ordering::SeqCst), 2);
}
