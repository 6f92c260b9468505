//! Requests that are to start within a time or not at all.

use std::time::Duration;

use axum::http::{Method, StatusCode};
use serde_json::json;

use super::{job, path, until};
use crate::support::{Reply, Server};

async fn submit_within(server: &Server, seconds: &str, path: &str) -> Reply {
    server.call(Method::POST, path, &[("x-fal-request-timeout", seconds)], r#"{"prompt": "wait"}"#).await
}

#[tokio::test(start_paused = true)]
async fn a_request_that_does_not_start_in_its_time_ends() {
    let server = Server::dialects().await;
    server.engine.store().set_paused(&"image.generate".parse().unwrap(), true).await.unwrap();
    let request = submit_within(&server, "2.5", "/fal/fal-ai/flux/dev").await.json();
    assert_eq!(request["status"], "IN_QUEUE");
    let status = until(&server, &request, "COMPLETED").await.json();
    assert_eq!(status["error_type"], "request_timeout");
    assert!(status["error"].as_str().unwrap().contains("did not start within"), "{status}");
    let result = server.get(&path(&request, "response_url")).await;
    assert_eq!((result.status, &result.json()["error_type"]), (StatusCode::GATEWAY_TIMEOUT, &json!("request_timeout")));
    assert_eq!(result.header("x-fal-request-timeout-type"), Some("user"), "or clients would ask again");
    // One that is waited for, too.
    let run = submit_within(&server, "2", "/fal/run/fal-ai/flux").await;
    assert_eq!(run.status, StatusCode::GATEWAY_TIMEOUT);
    assert_eq!(run.header("x-fal-request-timeout-type"), Some("user"));
    for nonsense in ["soon", "0", "-1", "nan"] {
        let reply = submit_within(&server, nonsense, "/fal/fal-ai/flux").await;
        assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY, "{nonsense}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_has_started_takes_as_long_as_it_takes() {
    let server = Server::dialects().await;
    let request = submit_within(&server, "2", "/fal/fal-ai/flux/dev").await.json();
    server.until(&job(&request), "progress").await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    server.gate.notify_one();
    until(&server, &request, "COMPLETED").await;
    let result = server.get(&path(&request, "response_url")).await;
    assert_eq!((result.status, result.header("x-fal-request-timeout-type")), (StatusCode::OK, None));
}

#[tokio::test]
async fn who_is_asked_for_after_its_time_has_passed_is_late_though_nobody_watched() {
    let server = Server::dialects().await;
    server.engine.store().set_paused(&"image.generate".parse().unwrap(), true).await.unwrap();
    // As a server that was started anew finds it.
    let body = json!({ "kind": "image.generate", "input": {}, "labels": { "start_by": "2026-01-01T00:00:00.000Z" } });
    let id = server.post("/v1/jobs", &body.to_string()).await.id().replace("job_", "");
    let status = server.get(&format!("/fal/fal-ai/flux/requests/{id}/status")).await;
    assert_eq!((status.status, &status.json()["error_type"]), (StatusCode::OK, &json!("request_timeout")));
}
