use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{RESPONSES, call};
use crate::support::{Reply, Server};

const ASYNC: (&str, &str) = ("prefer", "respond-async");
const CHAT: &str = "/openai/v1/chat/completions";

async fn asked(server: &Server, path: &str, prefer: &str, body: &Value) -> Reply {
    call(server, Method::POST, path, &[("prefer", prefer)], body).await
}

#[tokio::test]
async fn a_call_becomes_a_job_for_who_would_rather_not_wait() {
    let server = Server::dialects().await;
    let cases = [
        (CHAT, json!({ "model": "m", "messages": [], "stream": true }), "llm.chat"),
        ("/openai/v1/embeddings", json!({ "model": "m", "input": "x" }), "llm.embed"),
        ("/openai/v1/images/generations", json!({ "model": "gpt-image-1", "prompt": "a fox" }), "image.generate"),
        (RESPONSES, json!({ "model": "m", "input": "hello" }), "llm.response"),
    ];
    for (path, body, kind) in cases {
        let reply = call(&server, Method::POST, path, &[ASYNC], &body).await;
        assert_eq!(reply.status, StatusCode::ACCEPTED, "{}", reply.text());
        let job = reply.json();
        assert_eq!(job["kind"], kind);
        assert_eq!(reply.header("location"), Some(format!("/v1/jobs/{}", reply.id()).as_str()));
        assert_eq!(reply.header("preference-applied"), Some("respond-async"));
        assert!(reply.header("retry-after").is_some());
        let input = server.engine.store().input(reply.id().parse().unwrap()).await.unwrap().unwrap();
        let input: Value = input.parse().unwrap();
        assert!(input.get("stream").is_none());
        if kind == "image.generate" {
            assert_eq!(input, json!({ "model": "gpt-image-1", "input": { "prompt": "a fox" } }));
        }
    }
}

#[tokio::test]
async fn who_would_wait_a_little_gets_the_answer_if_it_is_there_in_time() {
    let server = Server::dialects().await;
    let body = json!({ "model": "m", "messages": [] });
    let reply = asked(&server, CHAT, "respond-async, wait=10", &body).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
    assert_eq!(reply.json()["object"], "llm.chat");
    assert!(reply.json()["id"].as_str().unwrap().starts_with("chatcmpl-"));
    let refused = asked(&server, CHAT, "respond-async, wait=10", &json!({ "model": "refused" })).await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS, "{}", refused.text());
    assert_eq!(
        (&refused.json()["error"]["code"], refused.header("x-should-retry")),
        (&json!("insufficient_quota"), Some("false"))
    );
    let waiting = asked(&server, RESPONSES, "respond-async, wait=0", &json!({ "model": "m", "input": "wait" })).await;
    assert_eq!((waiting.status, &waiting.json()["kind"]), (StatusCode::ACCEPTED, &json!("llm.response")));
}

#[tokio::test]
async fn a_response_that_nobody_asked_to_queue_is_never_shown_queued() {
    let server = Server::dialects().await;
    for background in [json!(false), json!(null)] {
        let body = json!({ "model": "m", "input": "hello", "background": background });
        let reply = call(&server, Method::POST, RESPONSES, &[], &body).await;
        // Without an upstream there is no answer, and certainly no empty one.
        assert_eq!((reply.status, &reply.json()["error"]["code"]), (StatusCode::NOT_FOUND, &json!("model_not_found")));
    }
}
