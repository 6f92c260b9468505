use axum::http::{Method, StatusCode};
use raincheck_api::ApiSettings;
use raincheck_store::Limits;
use serde_json::{Value, json};

use super::{RESPONSES, call};
use crate::support::Server;

fn is_error(body: &Value) -> &Value {
    let error = &body["error"];
    for field in ["message", "type", "param", "code"] {
        assert!(error.get(field).is_some(), "{field} is missing: {body}");
    }
    error
}

#[tokio::test]
async fn errors_are_told_as_sdks_read_them() {
    let server = Server::dialects().await;
    let background = |fields: Value| {
        let mut body = json!({ "model": "m", "input": "hello", "background": true });
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        body
    };
    let cases = [
        (json!({ "input": "x", "background": true }), 400, "invalid_input", json!("model")),
        (background(json!({ "model": "unknown" })), 404, "model_not_found", json!("model")),
        (background(json!({ "stream": "yes" })), 400, "invalid_request", json!("stream")),
        (json!([1]), 400, "invalid_request", json!(null)),
        (background(json!({ "input": "x".repeat(1_100_000) })), 413, "body_too_large", json!(null)),
    ];
    for (body, status, code, param) in cases {
        let reply = call(&server, Method::POST, RESPONSES, &[], &body).await;
        assert_eq!(reply.status.as_u16(), status, "{}", reply.text());
        let body = reply.json();
        let error = is_error(&body);
        assert_eq!((&error["code"], &error["param"]), (&json!(code), &param), "{body}");
        assert_eq!(error["type"], "invalid_request_error");
        assert!(reply.header("x-request-id").is_some());
        assert_eq!(reply.header("content-type"), Some("application/json"));
    }
    for (method, path, status) in [
        (Method::GET, "/openai/v1/nothing", 404),
        (Method::GET, "/openai", 404),
        (Method::PUT, RESPONSES, 405),
        (Method::GET, "/openai/v1/responses/resp_1", 404),
        (Method::GET, "/openai/v1/responses/job_019a8e7c12347abc8def0123456789ab", 404),
    ] {
        let reply = call(&server, method, path, &[], &Value::Null).await;
        assert_eq!(reply.status.as_u16(), status, "{path}");
        is_error(&reply.json());
    }
    let malformed = server.post(RESPONSES, "{").await;
    assert_eq!(malformed.status, StatusCode::BAD_REQUEST);
    is_error(&malformed.json());
}

#[tokio::test]
async fn keys_are_refused_in_the_words_of_the_dialect() {
    let server = Server::dialects_with(ApiSettings::default()).await;
    let body = json!({ "model": "m", "input": "hello", "background": true });
    for headers in [vec![], vec![("authorization", "Bearer sk-theirs")]] {
        let reply = call(&server, Method::POST, RESPONSES, &headers, &body).await;
        assert_eq!(reply.status, StatusCode::UNAUTHORIZED);
        assert_eq!(is_error(&reply.json())["code"], "invalid_api_key");
    }
    let key = server.key("voice", &[raincheck_store::Scope::Read], None).await;
    let reply = call(&server, Method::POST, RESPONSES, &[("authorization", &key)], &body).await;
    assert_eq!(reply.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_server_without_keys_takes_the_key_that_an_sdk_cannot_but_send() {
    let server = Server::dialects().await;
    let headers = [("authorization", "Bearer sk-theirs")];
    let body = json!({ "model": "m", "input": "hello", "background": true });
    assert_eq!(call(&server, Method::POST, RESPONSES, &headers, &body).await.status, StatusCode::ACCEPTED);
    let native = call(&server, Method::GET, "/v1/jobs", &headers, &Value::Null).await;
    assert_eq!(native.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_client_that_is_turned_away_is_told_to_come_back_within_a_minute() {
    let settings = ApiSettings { keyless: true, ..ApiSettings::default() };
    let limits = Limits { waiting: 0, ..Limits::default() };
    let server = Server::dialects_limited(settings, limits).await;
    let body = json!({ "model": "m", "input": "hello", "background": true });
    let reply = call(&server, Method::POST, RESPONSES, &[], &body).await;
    assert_eq!(reply.status, StatusCode::TOO_MANY_REQUESTS, "{}", reply.text());
    let body = reply.json();
    assert_eq!(
        (&is_error(&body)["code"], &body["error"]["type"]),
        (&json!("rate_limit_exceeded"), &json!("rate_limit_error"))
    );
    assert!((1..=60).contains(&reply.header("retry-after").unwrap().parse::<u64>().unwrap()));
    assert_eq!(reply.header("x-should-retry"), None);
}
