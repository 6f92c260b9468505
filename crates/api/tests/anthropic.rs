//! The door of Anthropic's Messages: messages passed through, and messages as jobs.

mod passed;

use std::time::Duration;

use axum::http::{Method, StatusCode};
use raincheck_api::ApiSettings;
use raincheck_store::Scope;
use serde_json::{Value, json};

use crate::support::{Server, request};

const ASYNC: (&str, &str) = ("prefer", "respond-async");

fn asks(model: &str) -> String {
    json!({ "model": model, "max_tokens": 16, "messages": [{ "role": "user", "content": "Hi" }] }).to_string()
}

/// The message's id at this door, of a job that was accepted.
async fn accepted(server: &Server, model: &str) -> String {
    let reply = server.call(Method::POST, "/anthropic/v1/messages", &[ASYNC], &asks(model)).await;
    assert_eq!((reply.status, reply.header("preference-applied")), (StatusCode::ACCEPTED, Some("respond-async")));
    let id = reply.id();
    assert_eq!(reply.header("location"), Some(format!("/v1/jobs/{id}").as_str()));
    assert!(reply.header("request-id").unwrap().starts_with("req_"));
    id.replace("job_", "msg_")
}

/// The events of a stream: their names, and their data.
fn events(text: &str) -> Vec<(&str, Value)> {
    let event = |event: &'_ str| -> (usize, Value) {
        let (name, data) = event.split_once("\ndata: ").unwrap();
        (name.strip_prefix("event: ").unwrap().len(), serde_json::from_str(data).unwrap())
    };
    text.split_terminator("\n\n")
        .map(|piece| {
            let (length, data) = event(piece);
            (&piece["event: ".len()..][..length], data)
        })
        .collect()
}

#[tokio::test]
async fn a_message_is_a_job_for_who_prefers_it() {
    let server = Server::dialects().await;
    let id = accepted(&server, "hello").await;
    let message = server.get(&format!("/anthropic/v1/messages/{id}?wait=10")).await;
    assert_eq!(message.status, StatusCode::OK);
    let message = message.json();
    assert_eq!((&message["id"], &message["content"][0]["text"]), (&json!(id), &json!("Hello, you")));
    // Or at once, if it is done in time.
    let headers = [("prefer", "respond-async, wait=10")];
    let waited = server.call(Method::POST, "/anthropic/v1/messages", &headers, &asks("hello")).await;
    assert_eq!((waited.status, &waited.json()["type"]), (StatusCode::OK, &json!("message")));
    let running = accepted(&server, "wait").await;
    let early = server.get(&format!("/anthropic/v1/messages/{running}")).await;
    assert_eq!((early.status, early.json()["kind"].as_str()), (StatusCode::ACCEPTED, Some("llm.message")));
}

#[tokio::test]
async fn a_messages_events_are_named_and_put_together_are_the_message() {
    let server = Server::dialects().await;
    let id = accepted(&server, "hello").await;
    for _ in ["while it runs, or later", "and again"] {
        let path = format!("/anthropic/v1/messages/{id}");
        let stream = server.call(Method::GET, &path, &[("accept", "text/event-stream")], "").await;
        assert_eq!(stream.header("content-type"), Some("text/event-stream; charset=utf-8"));
        let events = events(stream.text());
        assert!(events.iter().all(|(name, data)| data["type"] == *name), "{events:?}");
        assert_eq!((events[0].0, &events[0].1["message"]["id"]), ("message_start", &json!(id)));
        assert_eq!(events.last().unwrap().0, "message_stop");
        let text: String = events.iter().filter_map(|(_, data)| data["delta"]["text"].as_str()).collect();
        assert_eq!(text, "Hello, you");
    }
}

#[tokio::test]
async fn a_silent_stream_pings() {
    let settings = ApiSettings { keyless: true, sse_heartbeat: Duration::from_millis(50), ..ApiSettings::default() };
    let server = Server::dialects_with(settings).await;
    let id = accepted(&server, "wait").await;
    let path = format!("/anthropic/v1/messages/{id}");
    let letting_go = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        server.gate.notify_one();
    };
    let headers = [("accept", "text/event-stream")];
    let (stream, ()) = tokio::join!(server.call(Method::GET, &path, &headers, ""), letting_go);
    let events = events(stream.text());
    assert!(events.iter().any(|(name, data)| *name == "ping" && *data == json!({ "type": "ping" })), "{events:?}");
    assert_eq!(events.last().unwrap().0, "message_stop");
}

#[tokio::test]
async fn a_stream_never_starts_anew() {
    let server = Server::dialects().await;
    let id = accepted(&server, "again").await;
    let path = format!("/anthropic/v1/messages/{id}");
    let message = server.get(&format!("{path}?wait=10")).await.json();
    assert_eq!(message["content"][0]["text"], "Hello, you");
    let stream = server.call(Method::GET, &path, &[("accept", "text/event-stream")], "").await;
    let events = events(stream.text());
    assert_eq!(events.iter().filter(|(name, _)| *name == "message_start").count(), 1, "{events:?}");
    assert_eq!(
        (events.last().unwrap().0, &events.last().unwrap().1["error"]["type"]),
        ("error", &json!("overloaded_error"))
    );
}

#[tokio::test]
async fn an_upstreams_error_is_told_in_its_own_words() {
    let server = Server::dialects().await;
    let id = accepted(&server, "overloaded").await;
    let path = format!("/anthropic/v1/messages/{id}");
    let failed = server.get(&format!("{path}?wait=10")).await;
    assert_eq!(failed.status.as_u16(), 529);
    let body = failed.json();
    assert_eq!((&body["type"], &body["error"]["message"]), (&json!("error"), &json!("Overloaded")));
    assert_eq!(body["request_id"].as_str(), failed.header("request-id"));
    let stream = server.call(Method::GET, &path, &[("accept", "text/event-stream")], "").await;
    let last = events(stream.text()).pop().unwrap();
    assert_eq!((last.0, &last.1["error"]["type"]), ("error", &json!("overloaded_error")));
}

#[tokio::test]
async fn errors_are_anthropics() {
    let server = Server::dialects().await;
    for (path, body, status, kind) in [
        ("/anthropic/v1/messages", "{", 400, "invalid_request_error"),
        ("/anthropic/v1/messages", r#"{"model": 7}"#, 400, "invalid_request_error"),
        ("/anthropic/v1/nothing", "{}", 404, "not_found_error"),
        ("/anthropic/v1/messages/batches/msgbatch_1/cancel", "", 404, "not_found_error"),
        // Nothing is configured that messages could be passed on to.
        ("/anthropic/v1/messages", &asks("hello"), 400, "invalid_request_error"),
    ] {
        let reply = server.post(path, body).await;
        let told = reply.json();
        assert_eq!(
            (reply.status.as_u16(), &told["type"], &told["error"]["type"]),
            (status, &json!("error"), &json!(kind))
        );
        assert!(told["error"]["message"].is_string() && told["request_id"].as_str() == reply.header("request-id"));
    }
    let keyed = Server::dialects_with(ApiSettings::default()).await;
    let reply = keyed.post("/anthropic/v1/messages", &asks("hello")).await;
    assert_eq!((reply.status.as_u16(), &reply.json()["error"]["type"]), (401, &json!("authentication_error")));
}

#[tokio::test]
async fn keys_come_in_either_header() {
    let server = Server::dialects_with(ApiSettings::default()).await;
    let bearer = server.key("us", &[Scope::Submit], None).await;
    let bare = bearer.strip_prefix("Bearer ").unwrap();
    for key in [("authorization", bearer.as_str()), ("x-api-key", bare)] {
        let call = request(Method::POST, "/anthropic/v1/messages", &[ASYNC, key], &asks("hello"));
        assert_eq!(server.send(call).await.status, StatusCode::ACCEPTED, "{}", key.0);
    }
}
