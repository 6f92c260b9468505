//! What is refused, with which problem, and that nothing was done.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use futures_util::stream;
use raincheck_api::ApiSettings;
use raincheck_store::Limits;
use serde_json::json;

use crate::support::{Reply, Server, request};

/// A problem and its status, as one snapshot.
fn told(reply: &Reply) -> serde_json::Value {
    assert_eq!(reply.header("content-type"), Some("application/problem+json"), "{}", reply.text());
    let problem = reply.json();
    assert_eq!(problem["status"], json!(reply.status.as_u16()));
    problem
}

#[tokio::test]
async fn each_mistake_is_told_where_it_is() {
    let server = Server::keyless().await;
    let mut problems = serde_json::Map::new();
    for body in [
        "{\"kind\": \"echo\"",
        "{\"kind\": \"echo\",}",
        "[]",
        "\"echo\"",
        "{}",
        r#"{"kind": "nobody"}"#,
        r#"{"kind": "a b"}"#,
        r#"{"kind": 7}"#,
        r#"{"kind": "echo", "kind": "echo"}"#,
        r#"{"kind": "echo", "tenant": "other"}"#,
        r#"{"kind": "echo", "priority": "P10"}"#,
        r#"{"kind": "echo", "labels": {"a": 7}}"#,
        r#"{"kind": "echo", "labels": {"a:b": "c"}}"#,
        r#"{"kind": "echo", "concurrency_key": ""}"#,
        r#"{"kind": "echo", "delay": "5m"}"#,
        r#"{"kind": "echo", "delay": -1}"#,
        r#"{"kind": "echo", "delay": 1e300}"#,
        r#"{"kind": "echo", "delay": 1, "run_at": "2100-01-01T00:00:00Z"}"#,
        r#"{"kind": "echo", "run_at": "tomorrow"}"#,
        r#"{"kind": "echo", "deadline": "2001-01-01T00:00:00Z"}"#,
        r#"{"kind": "echo", "timeout": 0}"#,
        r#"{"kind": "echo", "max_attempts": 0}"#,
        r#"{"kind": "echo", "max_attempts": -1}"#,
        r#"{"kind": "fail", "input": "refuse"}"#,
    ] {
        let reply = server.post("/v1/jobs", body).await;
        assert!(reply.status.is_client_error(), "{body}: {}", reply.status);
        problems.insert(body.to_owned(), told(&reply));
    }
    insta::assert_json_snapshot!("mistakes", problems);
    assert_eq!(server.get("/v1/jobs").await.json()["jobs"], json!([]), "nothing was done");
}

#[tokio::test]
async fn deep_and_large_inputs_are_refused() {
    let settings =
        ApiSettings { keyless: true, input_bytes_max: 1_000, body_bytes_max: 2_000, ..ApiSettings::default() };
    let server = Server::with(settings, Limits::default()).await;
    let input = |input: &str| format!(r#"{{"kind": "echo", "input": {input}}}"#);
    let deep = server.post("/v1/jobs", &input(&format!("{}{}", "[".repeat(65), "]".repeat(65)))).await;
    assert_eq!((deep.status, &told(&deep)["pointer"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("/input")));
    let large = server.post("/v1/jobs", &input(&format!("\"{}\"", "x".repeat(1_001)))).await;
    assert_eq!((large.status, &told(&large)["pointer"]), (StatusCode::PAYLOAD_TOO_LARGE, &json!("/input")));
    let body = server.post("/v1/jobs", &input(&format!("\"{}\"", "x".repeat(2_001)))).await;
    assert_eq!(body.status, StatusCode::PAYLOAD_TOO_LARGE);
    insta::assert_json_snapshot!("large_body", told(&body));
}

#[tokio::test]
async fn a_body_of_unknown_length_is_read_no_further_than_allowed() {
    let settings = ApiSettings { keyless: true, body_bytes_max: 2_000, ..ApiSettings::default() };
    let server = Server::with(settings, Limits::default()).await;
    let endless = stream::repeat_with(|| Ok::<_, std::convert::Infallible>(vec![b' '; 100]));
    let request = Request::post("/v1/jobs").header("host", "localhost").header("content-type", "application/json");
    let reply = server.send(request.body(Body::from_stream(endless)).unwrap()).await;
    assert_eq!(reply.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn bodies_in_pieces_are_put_together() {
    let server = Server::keyless().await;
    let pieces = [r#"{"kind": "#, r#""echo","#, r#" "input": 7}"#].map(Ok::<_, std::convert::Infallible>);
    let request = Request::post("/v1/jobs")
        .header("host", "localhost")
        .header("content-type", "application/json")
        .header("prefer", "wait=10");
    let reply = server.send(request.body(Body::from_stream(stream::iter(pieces))).unwrap()).await;
    assert_eq!((reply.status, &reply.json()["result"]), (StatusCode::OK, &json!(7)));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let server = Server::keyless().await;
    let never = stream::pending::<Result<Vec<u8>, std::convert::Infallible>>();
    let request = Request::post("/v1/jobs").header("host", "localhost").header("content-type", "application/json");
    let began = tokio::time::Instant::now();
    let reply = server.send(request.body(Body::from_stream(never)).unwrap()).await;
    assert_eq!(reply.status, StatusCode::REQUEST_TIMEOUT);
    assert!(began.elapsed() < Duration::from_secs(11));
    insta::assert_json_snapshot!("slow_body", told(&reply));
}

#[tokio::test]
async fn bodies_together_are_bounded() {
    let settings = ApiSettings { keyless: true, bodies_bytes_max: 10, ..ApiSettings::default() };
    let server = Server::with(settings, Limits::default()).await;
    let reply = server.post("/v1/jobs", r#"{"kind": "echo"}"#).await;
    assert_eq!((reply.status, reply.header("retry-after").is_some()), (StatusCode::SERVICE_UNAVAILABLE, true));
    // What was refused is not counted any more.
    assert_eq!(server.post("/v1/jobs", "{}").await.status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn only_json_is_read() {
    let server = Server::keyless().await;
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", ""] {
        let headers = [("content-type", content_type)];
        let reply = server.call(Method::POST, "/v1/jobs", &headers, r#"{"kind": "echo"}"#).await;
        assert_eq!(reply.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{content_type}");
    }
    let headers = [("content-type", "Application/JSON; charset=utf-8")];
    let reply = server.call(Method::POST, "/v1/jobs", &headers, r#"{"kind": "echo"}"#).await;
    assert_eq!(reply.status, StatusCode::ACCEPTED);
    let id = server.submit(r#"{"kind": "echo", "delay": 60}"#).await;
    let reply =
        server.call(Method::POST, &format!("/v1/jobs/{id}/cancel"), &[("content-type", "text/plain")], "{}").await;
    assert_eq!(reply.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    insta::assert_json_snapshot!("other_media", told(&reply));
}

#[tokio::test]
async fn paths_methods_and_queries_are_read_strictly() {
    let server = Server::keyless().await;
    let id = server.submit(r#"{"kind": "gate"}"#).await;
    let mut problems = serde_json::Map::new();
    for (method, path) in [
        (Method::GET, "/nothing"),
        (Method::GET, "/v1/jobs/"),
        (Method::PUT, "/v1/jobs"),
        (Method::GET, "/v1/jobs/job_nonsense"),
        (Method::GET, "/v1/jobs/%FF"),
        (Method::GET, "/v1/jobs?stat=queued"),
        (Method::GET, "/v1/jobs?state=done"),
        (Method::GET, "/v1/jobs?cursor=zz"),
        (Method::GET, "/v1/jobs?limit=0"),
        (Method::GET, "/v1/jobs?label=nocolon"),
        (Method::GET, "/v1/jobs?kind=%FF"),
        (Method::GET, "/v1/jobs/{id}?wait=long"),
        (Method::GET, "/v1/jobs/{id}/events?after=-1"),
        (Method::POST, "/v1/queues/a%20b/pause"),
    ] {
        let reply = server.call(method.clone(), &path.replace("{id}", &id), &[], "").await;
        assert!(reply.status.is_client_error(), "{method} {path}: {}", reply.status);
        problems.insert(format!("{method} {path}"), told(&reply));
    }
    insta::assert_json_snapshot!("paths", problems);
    let put = server.call(Method::PUT, &format!("/v1/jobs/{id}"), &[], "").await;
    let mut allowed: Vec<&str> = put.header("allow").unwrap().split(',').collect();
    allowed.sort_unstable();
    assert_eq!(allowed, ["DELETE", "GET", "HEAD"]);
}

#[tokio::test]
async fn a_full_queue_says_when_to_come_back() {
    let limits = Limits { waiting_per_tenant: 1, ..Limits::default() };
    let server = Server::with(ApiSettings { keyless: true, ..ApiSettings::default() }, limits).await;
    server.submit(r#"{"kind": "echo", "delay": 60}"#).await;
    let reply = server.post("/v1/jobs", r#"{"kind": "echo", "delay": 60}"#).await;
    assert_eq!(reply.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(reply.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
    insta::assert_json_snapshot!("full_queue", told(&reply));
}

#[tokio::test]
async fn a_stopped_store_refuses_and_says_so() {
    let server = Server::keyless().await;
    server.engine.store().close().await.unwrap();
    for request in [
        request(Method::POST, "/v1/jobs", &[], r#"{"kind": "echo"}"#),
        request(Method::GET, "/v1/jobs/job_019c5a3e0f4b7c3a9d2b1f6a0e8c7d11", &[], ""),
        request(Method::GET, "/readyz", &[], ""),
    ] {
        let reply = server.send(request).await;
        assert_eq!(
            (reply.status, told(&reply)["outcome"].clone()),
            (StatusCode::SERVICE_UNAVAILABLE, json!("rejected"))
        );
        assert!(reply.header("retry-after").is_some());
    }
}

#[tokio::test]
async fn a_server_without_keys_answers_only_to_its_own_names() {
    let server = Server::keyless().await;
    let status =
        async |name: &str, value: &str| server.call(Method::GET, "/v1/jobs", &[(name, value)], "").await.status;
    assert_eq!(status("host", "localhost:8080").await, StatusCode::OK);
    assert_eq!(status("host", "127.0.0.1:8080").await, StatusCode::OK);
    assert_eq!(status("host", "rebound.evil.example").await, StatusCode::FORBIDDEN);
    assert_eq!(status("origin", "http://localhost:3000").await, StatusCode::OK);
    assert_eq!(status("origin", "https://evil.example").await, StatusCode::FORBIDDEN);
    let two = [("host", "localhost"), ("host", "evil.example")];
    assert_eq!(server.call(Method::GET, "/v1/jobs", &two, "").await.status, StatusCode::BAD_REQUEST);
}
