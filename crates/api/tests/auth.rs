//! Who may do what, and what nobody learns about others.

use axum::http::{Method, StatusCode};
use raincheck_core::Time;
use raincheck_store::Scope;
use serde_json::json;

use crate::support::Server;

/// What each route needs; `None` if nothing. Every route is here, or a test fails.
pub(crate) const NEEDS: &[(&str, &str, Option<Scope>)] = &[
    ("POST", "/v1/jobs", Some(Scope::Submit)),
    ("GET", "/v1/jobs", Some(Scope::Read)),
    ("POST", "/v1/jobs:batch", Some(Scope::Submit)),
    ("GET", "/v1/jobs/{id}", Some(Scope::Read)),
    ("DELETE", "/v1/jobs/{id}", Some(Scope::Submit)),
    ("GET", "/v1/jobs/{id}/result", Some(Scope::Read)),
    ("GET", "/v1/jobs/{id}/events", Some(Scope::Read)),
    ("GET", "/v1/jobs/{id}/files/{name}", Some(Scope::Read)),
    ("POST", "/v1/jobs/{id}/cancel", Some(Scope::Submit)),
    ("POST", "/v1/jobs/{id}/retry", Some(Scope::Submit)),
    ("GET", "/v1/jobs/{id}/webhook", Some(Scope::Read)),
    ("POST", "/v1/jobs/{id}/webhook/redeliver", Some(Scope::Submit)),
    ("GET", "/v1/webhooks/secret", Some(Scope::Submit)),
    ("POST", "/v1/webhooks/secret/rotate", Some(Scope::Submit)),
    ("POST", "/v1/conversations", Some(Scope::Submit)),
    ("GET", "/v1/conversations", Some(Scope::Read)),
    ("GET", "/v1/conversations/{id}", Some(Scope::Read)),
    ("DELETE", "/v1/conversations/{id}", Some(Scope::Submit)),
    ("GET", "/v1/conversations/{id}/messages", Some(Scope::Read)),
    ("POST", "/v1/conversations/{id}/messages", Some(Scope::Submit)),
    ("GET", "/v1/files/{id}/content", Some(Scope::Read)),
    ("GET", "/v1/kinds", Some(Scope::Read)),
    ("GET", "/v1/queues", Some(Scope::Read)),
    ("POST", "/v1/queues/{queue}/pause", Some(Scope::Admin)),
    ("POST", "/v1/queues/{queue}/resume", Some(Scope::Admin)),
    ("GET", "/v1/upstreams", Some(Scope::Admin)),
    ("POST", "/v1/leases", Some(Scope::Worker)),
    ("POST", "/v1/leases/heartbeat", Some(Scope::Worker)),
    ("POST", "/v1/leases/{id}/events", Some(Scope::Worker)),
    ("POST", "/v1/leases/{id}/finish", Some(Scope::Worker)),
    ("GET", "/files/{id}", None),
    ("GET", "/healthz", None),
    ("GET", "/readyz", None),
    ("GET", "/metrics", Some(Scope::Admin)),
    ("GET", "/openapi.json", None),
];

const UNKNOWN: &str = "job_019c5a3e0f4b7c3a9d2b1f6a0e8c7d11";

fn path_of(route: &str, id: &str) -> String {
    route.replace("{id}", id).replace("{job}", id).replace("{queue}", "echo").replace("{name}", "manifest.jsonl")
}

#[test]
fn every_route_says_what_it_needs() {
    let routes: Vec<String> = raincheck_api::listed().iter().map(|(method, path)| format!("{method} {path}")).collect();
    let needs: Vec<String> = NEEDS.iter().map(|(method, path, _)| format!("{method} {path}")).collect();
    assert_eq!(routes, needs);
}

#[tokio::test]
async fn every_route_is_closed_to_every_other_scope() {
    let server = Server::keyed().await;
    for (method, route, needed) in NEEDS {
        let call = async |headers: &[(&str, &str)]| {
            server.call(method.parse().unwrap(), &path_of(route, UNKNOWN), headers, "").await.status
        };
        let without = call(&[]).await;
        assert_eq!(without == StatusCode::UNAUTHORIZED, needed.is_some(), "{method} {route} without a key: {without}");
        for scope in Scope::ALL {
            let key = server.key("acme", &[scope], None).await;
            let status = call(&[("authorization", &key)]).await;
            let open = needed.is_none_or(|needed| scope == needed || scope == Scope::Admin);
            assert_eq!(status != StatusCode::FORBIDDEN, open, "{method} {route} with {scope}: {status}");
            assert_ne!(status, StatusCode::UNAUTHORIZED, "{method} {route} with {scope}");
        }
    }
}

#[tokio::test]
async fn another_tenants_job_answers_like_one_that_never_was() {
    let server = Server::keyed().await;
    let everything = [Scope::Submit, Scope::Read, Scope::Worker];
    let (owner, stranger) = (server.key("acme", &everything, None).await, server.key("other", &everything, None).await);
    let body = r#"{"kind": "echo"}"#;
    let headers = [("authorization", &*owner), ("prefer", "wait=10")];
    let id = server.call(Method::POST, "/v1/jobs", &headers, body).await.id();
    for (method, route, _) in NEEDS.iter().filter(|(_, route, _)| route.starts_with("/v1/jobs/{id}")) {
        let call = async |id: &str| {
            let accept = if route.ends_with("/events") { "text/event-stream" } else { "*/*" };
            let headers = [("authorization", &*stranger), ("accept", accept)];
            server.call(method.parse().unwrap(), &path_of(route, id), &headers, "").await
        };
        let (foreign, unknown) = (call(&id).await, call(UNKNOWN).await);
        assert_eq!(foreign.status, StatusCode::NOT_FOUND, "{method} {route}");
        assert_eq!((foreign.headers, foreign.body), (unknown.headers, unknown.body), "{method} {route}");
    }
    let list = server.call(Method::GET, "/v1/jobs", &[("authorization", &stranger)], "").await;
    assert_eq!(list.json()["jobs"], json!([]));
    let theirs = server.call(Method::GET, "/v1/jobs?tenant=acme", &[("authorization", &stranger)], "").await;
    assert_eq!(theirs.status, StatusCode::FORBIDDEN);
    let own = server.call(Method::GET, &format!("/v1/jobs/{id}"), &[("authorization", &owner)], "").await;
    assert_eq!((own.status, &own.json()["tenant"]), (StatusCode::OK, &json!("acme")));
    let admin = server.key("root", &[Scope::Admin], None).await;
    let seen = server.call(Method::GET, &format!("/v1/jobs/{id}"), &[("authorization", &admin)], "").await;
    assert_eq!(seen.status, StatusCode::OK);
}

#[tokio::test]
async fn idempotency_keys_do_not_cross_tenants() {
    let server = Server::keyed().await;
    let mut ids = Vec::new();
    for tenant in ["a", "b"] {
        let key = server.key(tenant, &[Scope::Submit], None).await;
        let headers = [("authorization", &*key), ("idempotency-key", "same")];
        let reply = server.call(Method::POST, "/v1/jobs", &headers, r#"{"kind": "echo"}"#).await;
        assert_eq!((reply.status, reply.header("idempotency-replayed")), (StatusCode::ACCEPTED, None));
        ids.push(reply.id());
    }
    assert_ne!(ids[0], ids[1]);
}

#[tokio::test]
async fn bad_keys_are_refused() {
    let server = Server::keyed().await;
    let good = server.key("acme", &[Scope::Read], None).await;
    let status = async |key: &str| server.call(Method::GET, "/v1/jobs", &[("authorization", key)], "").await.status;
    assert_eq!(status(&good).await, StatusCode::OK);
    assert_eq!(status(&good.replacen("Bearer", "bearer", 1)).await, StatusCode::OK);
    let expired = server.key("acme", &[Scope::Read], Some(Time::from_millis(1))).await;
    for bad in ["", "Bearer", "Bearer ", "Basic dTpw", &good[..good.len() - 1], "Bearer rc_x_y", &expired] {
        assert_eq!(status(bad).await, StatusCode::UNAUTHORIZED, "{bad}");
    }
    let unknown = raincheck_api::keys::generate(&[9; raincheck_api::keys::RANDOM_BYTES]);
    assert_eq!(status(&format!("Bearer {}", unknown.text)).await, StatusCode::UNAUTHORIZED);
}

#[tokio::test(start_paused = true)]
async fn a_revoked_key_is_refused_within_seconds() {
    let server = Server::keyed().await;
    let key = server.key("acme", &[Scope::Read], None).await;
    let status = async || server.call(Method::GET, "/v1/jobs", &[("authorization", &key)], "").await.status;
    assert_eq!(status().await, StatusCode::OK);
    let id = server.engine.store().keys().await.unwrap()[0].id.clone();
    server.engine.store().revoke_key(&id, Time::from_millis(1)).await.unwrap();
    tokio::time::advance(std::time::Duration::from_secs(6)).await;
    assert_eq!(status().await, StatusCode::UNAUTHORIZED);
}

#[tokio::test(start_paused = true)]
async fn the_first_key_ends_service_without_one() {
    let server = Server::keyless().await;
    assert_eq!(server.get("/v1/jobs").await.status, StatusCode::OK);
    let malformed = [("authorization", "Bearer nonsense")];
    let reply = server.call(Method::GET, "/v1/jobs", &malformed, "").await;
    assert_eq!(reply.status, StatusCode::UNAUTHORIZED, "a key that is sent is checked");
    let key = server.key("acme", &[Scope::Read], None).await;
    tokio::time::advance(std::time::Duration::from_secs(6)).await;
    let reply = server.get("/v1/jobs").await;
    assert_eq!((reply.status, reply.header("www-authenticate")), (StatusCode::UNAUTHORIZED, Some("Bearer")));
    insta::assert_json_snapshot!("no_key", reply.json());
    assert_eq!(server.call(Method::GET, "/v1/jobs", &[("authorization", &key)], "").await.status, StatusCode::OK);
}
