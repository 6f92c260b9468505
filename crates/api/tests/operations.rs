//! What operators look at: kinds, queues, health, metrics.

use axum::http::{Method, StatusCode};
use raincheck_store::Scope;
use serde_json::json;

use crate::support::Server;

#[tokio::test]
async fn kinds_say_what_they_take() {
    let server = Server::keyless().await;
    insta::assert_json_snapshot!("kinds", server.get("/v1/kinds").await.json());
}

#[tokio::test]
async fn a_paused_queue_keeps_its_jobs() {
    let server = Server::keyless().await;
    let paused = server.post("/v1/queues/echo/pause", "").await;
    assert_eq!((paused.status, paused.json()), (StatusCode::OK, json!({"queue": "echo", "ready": 0, "paused": true})));
    let id = server.submit(r#"{"kind": "echo"}"#).await;
    let job = server.get(&format!("/v1/jobs/{id}")).await.json();
    assert_eq!((&job["state"], &job["position"]), (&json!("queued"), &json!(1)));
    assert!(job["estimated_start_at"].is_string());
    let queues = server.get("/v1/queues").await.json();
    assert_eq!(queues["queues"][0], json!({"queue": "echo", "ready": 1, "paused": true}));
    assert_eq!(server.post("/v1/queues/echo/resume", "").await.json()["paused"], json!(false));
}

#[tokio::test]
async fn queues_that_tenants_name_are_not_shown_to_others() {
    let server = Server::keyed().await;
    let key = server.key("acme", &[Scope::Submit], None).await;
    let body = r#"{"kind": "echo", "queue": "acme-secret", "delay": 0}"#;
    server.engine.store().set_paused(&"acme-secret".parse().unwrap(), true).await.unwrap();
    let headers = [("authorization", &*key)];
    assert_eq!(server.call(Method::POST, "/v1/jobs", &headers, body).await.status, StatusCode::ACCEPTED);
    for (scope, shown) in [(Scope::Read, false), (Scope::Admin, true)] {
        let key = server.key("other", &[scope], None).await;
        let queues = server.call(Method::GET, "/v1/queues", &[("authorization", &key)], "").await;
        assert_eq!(queues.text().contains("acme-secret"), shown, "{scope}");
    }
}

#[tokio::test]
async fn a_server_that_is_about_to_stop_is_alive_but_not_ready() {
    let server = Server::keyless().await;
    assert_eq!(server.get("/readyz").await.status, StatusCode::OK);
    server.closing.cancel();
    assert_eq!(server.get("/readyz").await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(server.get("/healthz").await.json(), json!({"status": "ok"}));
}

#[tokio::test]
async fn head_is_get_without_a_body() {
    let server = Server::keyless().await;
    let reply = server.call(Method::HEAD, "/v1/kinds", &[], "").await;
    assert_eq!((reply.status, reply.text()), (StatusCode::OK, ""));
}

#[tokio::test]
async fn the_names_of_metrics_are_stable() {
    let server = Server::keyless().await;
    server.finish(r#"{"kind": "echo"}"#).await;
    server.get("/no/such/path").await;
    server.call("BREW".parse().unwrap(), "/v1/jobs", &[], "").await;
    let text = server.get("/metrics").await.text().to_owned();
    for line in [
        r#"raincheck_http_requests_total{method="POST",route="/v1/jobs",status="200"} 1"#,
        r#"raincheck_http_requests_total{method="GET",route="unmatched",status="404"} 1"#,
        r#"raincheck_http_requests_total{method="other",route="/v1/jobs",status="405"} 1"#,
        r#"raincheck_jobs_accepted_total{kind="echo"} 1"#,
    ] {
        assert!(text.lines().any(|other| other == line), "{line}\n{text}");
    }
    assert_eq!(text.matches("# EOF").count(), 1);
    let names: Vec<&str> = text.lines().filter(|line| line.starts_with("# TYPE")).collect();
    insta::assert_snapshot!("metrics", names.join("\n"));
}
