//! Calls that are passed on, to an upstream that a test holds in its hand.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::body::Bytes;
use axum::http::{Method, Response, StatusCode};
use futures_util::StreamExt;
use http_body_util::BodyExt;
use raincheck_api::{ApiSettings, Doors, NotPassed, Passage, Passed, PassedBody};
use raincheck_core::{Problem, ProblemType};
use raincheck_upstream::{Ahead, GateStatus, Protocol, UpstreamStatus, Used};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tower::ServiceExt;

use super::{call, create, ended};
use crate::support::{Server, request};

pub(super) const CHAT: &str = "/openai/v1/chat/completions";

/// Answers what it was sent; "wait" and "stream" wait to be let go first, "breaks" breaks off, and "long" is 640 KiB.
#[derive(Clone, Default)]
pub(super) struct Upstream {
    pub(super) gate: Arc<Notify>,
    pub(super) calls: Arc<AtomicUsize>,
    /// Let go whenever a call arrives.
    pub(super) arrived: Arc<Notify>,
    /// The last call.
    pub(super) last: Arc<Mutex<Option<Passed>>>,
    /// By what each call may be recognised.
    pub(super) keys: Arc<Mutex<Vec<String>>>,
}

#[async_trait]
impl Passage for Upstream {
    async fn pass(&self, call: Passed) -> Result<Response<PassedBody>, NotPassed> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.arrived.notify_one();
        *self.last.lock().unwrap() = Some(call.clone());
        self.keys.lock().unwrap().push(call.idempotency_key.clone());
        if let Some(status) = call.model.strip_prefix("answers ") {
            let problem = Problem::new(ProblemType::UPSTREAM_REFUSED, format!("one answered {status}"));
            let retry_after = Some(Duration::from_secs(7));
            let problem = problem.of_upstream(status.parse().unwrap(), Some(Value::from("Bad Gateway").into()));
            return Err(NotPassed { retry_after, ..NotPassed::new(problem) });
        }
        if let Some(millis) = call.model.strip_prefix("refused ") {
            let error = json!({ "error": { "message": "slow down", "type": "tokens", "code": "rate_limit_exceeded", "param": null } });
            let problem = Problem::new(ProblemType::UPSTREAM_REFUSED, "one answered 429: slow down");
            let refusal =
                Response::builder().header("x-request-id", "req_theirs").header("x-ratelimit-reset-requests", "1s");
            let refusal =
                refusal.header("openai-organization", "ours-to-know").header("retry-after", "9").body(()).unwrap();
            return Err(NotPassed {
                retry_after: millis.parse().ok().map(Duration::from_millis),
                headers: refusal.headers().clone().into(),
                ..NotPassed::new(problem.of_upstream(429, Some(error.into())))
            });
        }
        let response = Response::builder()
            .header("content-type", if call.model == "stream" { "text/event-stream" } else { "application/json" })
            .header("x-ratelimit-remaining-requests", "7")
            .header("x-request-id", "req_theirs")
            .header("openai-organization", "ours-to-know")
            .header("raincheck-served-by", "one/served-1");
        if call.model == "breaks" {
            let pieces = futures_util::stream::iter([Ok(Bytes::from_static(b"data: {}\n\n")), Err("cut".into())]);
            return Ok(response.body(pieces.boxed()).unwrap());
        }
        let sent = json!({ "path": call.path, "body": serde_json::from_slice::<Value>(&call.body).unwrap() });
        let has_key = call.headers.contains_key("authorization");
        assert!(!has_key, "the caller's key stays here");
        let gate = Arc::clone(&self.gate);
        let pieces = match call.model.as_str() {
            "stream" => futures_util::stream::iter([Bytes::from_static(b"data: {}\n\n")])
                .chain(futures_util::stream::once(async move {
                    gate.notified().await;
                    Bytes::from_static(b"data: [DONE]\n\n")
                }))
                .boxed(),
            "long" => futures_util::stream::iter((0..40).map(|_| Bytes::from(vec![b'x'; 16 << 10]))).boxed(),
            "wait" => {
                gate.notified().await;
                futures_util::stream::iter([Bytes::from(sent.to_string())]).boxed()
            }
            _ => futures_util::stream::iter([Bytes::from(sent.to_string())]).boxed(),
        };
        Ok(response.body(pieces.map(Ok).boxed()).unwrap())
    }

    fn models(&self, _: &str) -> Vec<(String, String)> {
        vec![("m".into(), "one".into()), ("org/m".into(), "one".into()), ("m".into(), "two".into())]
    }

    fn upstreams(&self) -> Vec<UpstreamStatus> {
        let gate = GateStatus {
            upstream: "one".into(),
            model: "m".into(),
            lane: "one.m".parse().unwrap(),
            under_way: 3,
            limit: 5,
            is_adaptive: true,
            requests: Some(Used { used: 7, limit: 60 }),
            tokens: None,
            breaker: Ahead::Open(Duration::from_secs(4)),
            shut_for: Some(Duration::from_millis(2500)),
            shut_by: Some(429),
            setback: None,
        };
        let host = "models.example:8443".to_owned();
        vec![UpstreamStatus { name: "one".into(), protocol: Protocol::Openai, host, gates: vec![gate] }]
    }
}

impl Upstream {
    pub(super) fn last_key(&self) -> String {
        self.keys.lock().unwrap().last().unwrap().clone()
    }

    /// The upstream that the last call named, and the body that was sent.
    fn last(&self) -> (Option<String>, String) {
        let call = self.last.lock().unwrap().take().unwrap();
        (call.upstream, String::from_utf8(call.body.to_vec()).unwrap())
    }
}

pub(super) async fn server(upstream: &Upstream) -> Server {
    let doors = Doors { passage: Some(Arc::new(upstream.clone())), ..Doors::default() };
    Server::dialects_with(ApiSettings { keyless: true, doors, ..ApiSettings::default() }).await
}

#[tokio::test]
async fn a_call_is_passed_on_as_it_is() {
    let server = server(&Upstream::default()).await;
    for (path, body) in [
        (CHAT, json!({ "model": "m", "messages": [{ "role": "user", "content": "hi" }] })),
        ("/openai/v1/embeddings", json!({ "model": "m", "input": "x" })),
        ("/openai/v1/images/generations", json!({ "model": "m", "prompt": "x" })),
        ("/openai/v1/responses", json!({ "model": "m", "input": "x" })),
    ] {
        let reply = call(&server, Method::POST, path, &[("authorization-not", "x")], &body).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
        assert_eq!(reply.json(), json!({ "path": path.strip_prefix("/openai/v1").unwrap(), "body": body }));
        assert_eq!(reply.header("x-ratelimit-remaining-requests"), Some("7"));
        assert_eq!(reply.header("x-request-id"), Some("req_theirs"));
        assert_eq!(reply.header("raincheck-served-by"), Some("one/served-1"));
        assert_eq!(reply.header("openai-organization"), None, "whose account it is stays here");
    }
}

#[tokio::test]
async fn an_upstream_that_the_body_names_is_called_and_not_told_of_it() {
    let upstream = Upstream::default();
    let server = server(&upstream).await;
    // As it came, to the byte; and without what is not the upstream's, to the digit.
    let plain = r#"{ "model": "m", "temperature": 0.10 }"#;
    for path in [CHAT, "/openai/v1/responses", "/openai/v1/responses/input_tokens"] {
        server.post(path, plain).await;
        assert_eq!(upstream.last(), (None, plain.to_owned()), "{path}");
        let named = r#"{ "model": "m", "upstream": "two", "temperature": 0.10, "on_ambiguous": "fail" }"#;
        server.post(path, named).await;
        assert_eq!(upstream.last(), (Some("two".into()), r#"{"model":"m","temperature":0.10}"#.into()), "{path}");
    }
    // Which of two models would the upstream take?
    let reply = server.post(CHAT, r#"{ "model": "m", "messages": [], "model": "dear" }"#).await;
    assert_eq!((reply.status, &reply.json()["error"]["param"]), (StatusCode::BAD_REQUEST, &json!("model")));
    let reply = server.post(CHAT, r#"{ "model": "m", "upstream": 2 }"#).await;
    assert_eq!((reply.status, &reply.json()["error"]["param"]), (StatusCode::BAD_REQUEST, &json!("upstream")));
}

#[tokio::test]
async fn a_call_that_is_passed_on_comes_after_a_response_that_was_made_here() {
    let upstream = Upstream::default();
    let server = server(&upstream).await;
    let first = create(&server, "hello").await;
    ended(&server, &first).await;
    let after = |id: &str| json!({ "model": "m", "input": "more", "previous_response_id": id });
    let ours = first["id"].as_str().unwrap();
    for path in ["/openai/v1/responses", "/openai/v1/responses/input_tokens", "/openai/v1/responses/compact"] {
        assert_eq!(server.post(path, &after(ours).to_string()).await.status, StatusCode::OK);
        let (named, body) = upstream.last();
        assert_eq!((named.as_deref(), body), (Some("one"), after("resp_theirs").to_string()), "{path}");
        // A name that is the upstream's own, though it looks like one of ours.
        let theirs = after("resp_0123456789abcdef0123456789abcdef").to_string();
        server.post(path, &theirs).await;
        assert_eq!(upstream.last(), (None, theirs));
        // One of ours that is not there is none of the upstream's either.
        let calls = upstream.calls.load(Ordering::SeqCst);
        let gone = server.post(path, &after("resp_019a8e7c12347abc8def0123456789ab").to_string()).await;
        let told = json!({
            "message": "Previous response with id 'resp_019a8e7c12347abc8def0123456789ab' not found.",
            "type": "invalid_request_error",
            "param": "previous_response_id",
            "code": "previous_response_not_found",
        });
        assert_eq!((gone.status, &gone.json()["error"]), (StatusCode::BAD_REQUEST, &told));
        assert_eq!(upstream.calls.load(Ordering::SeqCst), calls);
    }
    let running = create(&server, "wait").await;
    let reply = server.post("/openai/v1/responses", &after(running["id"].as_str().unwrap()).to_string()).await;
    assert_eq!(
        (reply.status, &reply.json()["error"]["param"]),
        (StatusCode::BAD_REQUEST, &json!("previous_response_id"))
    );
}

#[tokio::test]
async fn what_is_asked_about_responses_is_passed_on_and_no_job() {
    let upstream = Upstream::default();
    let server = server(&upstream).await;
    for path in ["/responses/input_tokens", "/responses/compact"] {
        let headers = [("prefer", "respond-async")];
        let body = json!({ "model": "m", "input": "x" });
        let reply = call(&server, Method::POST, &format!("/openai/v1{path}"), &headers, &body).await;
        assert_eq!((reply.status, &reply.json()["path"]), (StatusCode::OK, &json!(path)));
    }
}

#[tokio::test]
async fn tokens_are_passed_on_as_they_come() {
    let upstream = Upstream::default();
    let server = server(&upstream).await;
    let body = json!({ "model": "stream", "stream": true, "messages": [] }).to_string();
    let mut response = server.router.clone().oneshot(request(Method::POST, CHAT, &[], &body)).await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let piece = response.body_mut().frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(&piece[..], b"data: {}\n\n", "before the next was made");
    upstream.gate.notify_one();
    let rest = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(&rest[..], b"data: [DONE]\n\n");
}

#[tokio::test]
async fn a_refusal_is_passed_on_and_not_to_be_tried_again() {
    let server = server(&Upstream::default()).await;
    let reply = call(&server, Method::POST, CHAT, &[], &json!({ "model": "refused for good" })).await;
    assert_eq!((reply.status, reply.header("retry-after")), (StatusCode::TOO_MANY_REQUESTS, None));
    assert_eq!(reply.header("x-should-retry"), Some("false"));
    assert_eq!(reply.header("x-request-id"), Some("req_theirs"));
    assert_eq!(reply.header("x-ratelimit-reset-requests"), Some("1s"));
    assert_eq!(reply.header("openai-organization"), None, "whose account it is stays here");
    let error = json!({ "message": "slow down", "type": "tokens", "code": "rate_limit_exceeded", "param": null });
    assert_eq!(reply.json()["error"], error);
}

#[tokio::test]
async fn an_upstream_that_fails_is_told_as_one_behind_this_server() {
    let server = server(&Upstream::default()).await;
    for (theirs, status) in [(500, 502), (502, 502), (504, 502), (599, 502), (302, 502), (503, 503), (529, 503)] {
        let body = json!({ "model": format!("answers {theirs}") });
        let reply = call(&server, Method::POST, CHAT, &[], &body).await;
        assert_eq!((reply.status.as_u16(), reply.header("retry-after")), (status, Some("7")), "{theirs}");
        let message = format!("one answered {theirs}");
        let error = json!({ "message": message, "type": "server_error", "param": null, "code": null });
        assert_eq!(reply.json(), json!({ "error": error }));
    }
}

#[tokio::test]
async fn a_wait_that_an_upstream_asks_for_is_told_as_it_was_said_but_no_longer_than_sdks_heed() {
    let server = server(&Upstream::default()).await;
    for (millis, seconds, exactly) in
        [(1_000, "1", None), (61_000, "60", None), (130_000, "60", None), (250, "1", Some("250")), (0, "0", None)]
    {
        for is_streamed in [false, true] {
            let body = json!({ "model": format!("refused {millis}"), "stream": is_streamed });
            let reply = call(&server, Method::POST, CHAT, &[], &body).await;
            assert_eq!(reply.header("retry-after"), Some(seconds), "{millis}");
            assert_eq!(reply.header("retry-after-ms"), exactly, "{millis}");
        }
    }
}

#[tokio::test]
async fn models_are_those_that_upstreams_list() {
    let server = server(&Upstream::default()).await;
    let models = server.get("/openai/v1/models").await.json();
    let ids: Vec<&str> = models["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap()).collect();
    assert_eq!((ids, &models["object"]), (vec!["m", "org/m"], &json!("list")));
    let model = server.get("/openai/v1/models/org/m").await.json();
    assert_eq!(model, json!({ "id": "org/m", "object": "model", "created": 0, "owned_by": "one" }));
    assert_eq!(server.get("/openai/v1/models/other").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn metrics_tell_how_gates_stand() {
    let server = server(&Upstream::default()).await;
    let text = server.get("/metrics").await.text().to_owned();
    for line in [
        r#"raincheck_upstream_calls_under_way{upstream="one",model="m",lane="one.m"} 3"#,
        r#"raincheck_upstream_calls_limit{upstream="one",model="m",lane="one.m"} 5"#,
        r#"raincheck_upstream_breaker{upstream="one",model="m",lane="one.m"} 2"#,
        r#"raincheck_upstream_shut_seconds{upstream="one",model="m",lane="one.m"} 2.5"#,
    ] {
        assert!(text.lines().any(|other| other == line), "{line}\n{text}");
    }
    assert_eq!((text.matches("# EOF").count(), text.ends_with("# EOF\n")), (1, true));
}
