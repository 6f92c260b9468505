//! Keys for the upstream that callers bring.

use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::http::{Method, StatusCode};
use raincheck_api::{ApiSettings, Doors, OwnKey};
use raincheck_store::Scope;
use serde_json::json;

use super::passed::{CHAT, Upstream, server};
use super::{RESPONSES, call};
use crate::support::Server;

const OWN: (&str, &str) = ("raincheck-upstream-key", "sk-canary");
const BEARER: (&str, &str) = ("authorization", "Bearer sk-canary");

/// What the upstream was last given of the caller's key, and whether that was meant.
fn given(upstream: &Upstream) -> Option<bool> {
    let call = upstream.last.lock().unwrap().take().unwrap();
    assert!(!format!("{call:?}").contains("canary"), "{call:?}");
    call.own_key.map(|OwnKey { is_meant, .. }| is_meant)
}

#[tokio::test]
async fn a_callers_own_key_goes_with_calls_that_are_passed_on() {
    let upstream = Upstream::default();
    let open = server(&upstream).await;
    let body = json!({ "model": "m", "input": "x" });
    for path in [CHAT, RESPONSES, "/openai/v1/embeddings", "/openai/v1/images/generations"] {
        for (headers, is_meant) in
            [(&[OWN][..], Some(true)), (&[BEARER], Some(false)), (&[OWN, BEARER], Some(true)), (&[], None)]
        {
            assert_eq!(call(&open, Method::POST, path, headers, &body).await.status, StatusCode::OK);
            assert_eq!(given(&upstream), is_meant, "{path} {headers:?}");
        }
    }
    // Where callers have keys of this server, what stands in their place is one of these, and stays here.
    let doors = Doors { passage: Some(std::sync::Arc::new(upstream.clone())), ..Doors::default() };
    let closed = Server::dialects_with(ApiSettings { doors, ..ApiSettings::default() }).await;
    let key = closed.key("voice", &[Scope::Submit], None).await;
    for (headers, is_meant) in
        [(&[("authorization", key.as_str()), OWN][..], Some(true)), (&[("authorization", key.as_str())], None)]
    {
        assert_eq!(call(&closed, Method::POST, CHAT, headers, &body).await.status, StatusCode::OK);
        assert_eq!(given(&upstream), is_meant);
    }
}

#[tokio::test]
async fn a_job_is_never_called_with_a_key_that_would_have_to_be_kept() {
    let server = server(&Upstream::default()).await;
    let respond_async = ("prefer", "respond-async");
    let background = json!({ "model": "m", "input": "hello", "background": true });
    let chat = json!({ "model": "m", "messages": [] });
    for (path, headers, body) in [
        (RESPONSES, &[OWN][..], &background),
        (CHAT, &[OWN, respond_async], &chat),
        ("/openai/v1/batches", &[OWN], &chat),
        ("/anthropic/v1/messages", &[OWN, respond_async], &chat),
        ("/anthropic/v1/messages/batches", &[OWN], &chat),
        ("/fal/acme/picture", &[OWN], &chat),
        ("/replicate/v1/predictions", &[OWN], &chat),
        ("/v1/jobs", &[OWN], &chat),
        ("/v1/jobs:batch", &[OWN], &chat),
    ] {
        let reply = call(&server, Method::POST, path, headers, body).await;
        assert!(matches!(reply.status.as_u16(), 400 | 422), "{path}: {}", reply.text());
        assert!(reply.text().contains("jobs are done with the server's key"), "{}", reply.text());
        assert!(!reply.text().contains("canary"));
    }
    let reply = call(&server, Method::POST, RESPONSES, &[BEARER], &background).await;
    assert_eq!(reply.status, StatusCode::ACCEPTED, "what an SDK sends without need is ignored");
    let long = "k".repeat(2_000);
    let reply = call(&server, Method::POST, CHAT, &[("raincheck-upstream-key", &long)], &chat).await;
    assert_eq!(reply.status, StatusCode::BAD_REQUEST);
}

#[tokio::test(start_paused = true)]
async fn who_brings_another_key_is_given_nothing_that_was_made_with_this_one() {
    let upstream = Upstream::default();
    let server = server(&upstream).await;
    let post = async |model: &str, key: &str, extra: (&str, &str)| {
        let body = json!({ "model": model, "messages": [] });
        call(&server, Method::POST, CHAT, &[("raincheck-upstream-key", key), extra], &body).await
    };
    let calls = || upstream.calls.load(Ordering::SeqCst);
    // What an SDK sends again.
    let (first, again) = (("x-stainless-retry-count", "0"), ("x-stainless-retry-count", "1"));
    for (key, extra, made) in [("sk-a", first, 1), ("sk-b", again, 2)] {
        let gives_up = tokio::time::timeout(Duration::from_secs(5), post("wait", key, extra)).await;
        assert!(gives_up.is_err() && calls() == made, "{key}");
    }
    upstream.gate.notify_one();
    assert_eq!((post("wait", "sk-a", again).await.status, calls()), (StatusCode::OK, 2));
    // And what is sent under a name of the caller's own.
    let named = ("idempotency-key", "one");
    for (key, is_replayed, made) in [("sk-a", None, 3), ("sk-b", None, 4), ("sk-a", Some("true"), 4)] {
        let reply = post("m", key, named).await;
        assert_eq!((reply.status, calls()), (StatusCode::OK, made), "{key}");
        assert_eq!(reply.header("idempotency-replayed"), is_replayed, "{key}");
    }
}
