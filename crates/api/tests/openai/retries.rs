use axum::http::{Method, StatusCode};
use raincheck_api::ApiSettings;
use raincheck_store::Scope;
use serde_json::json;

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
