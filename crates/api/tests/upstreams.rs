//! What operators see of upstreams.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::http::{Method, Response, StatusCode};
use raincheck_api::{ApiSettings, Doors, NotPassed, Passage, Passed, PassedBody};
use raincheck_core::{Problem, ProblemType};
use raincheck_store::{Limits, Scope};
use raincheck_upstream::{Ahead, GateStatus, Protocol, Setback, UpstreamStatus, Used};
use serde_json::json;

use crate::support::{Server, blotted};

/// One upstream in each state that there is, and one that was never called.
struct Every;

fn gate(model: &str) -> GateStatus {
    GateStatus {
        upstream: "openai".into(),
        model: model.into(),
        lane: format!("openai.{model}").parse().unwrap(),
        under_way: 3,
        limit: 8,
        is_adaptive: true,
        requests: None,
        tokens: None,
        breaker: Ahead::Closed,
        shut_for: None,
        shut_by: None,
        setback: None,
    }
}

#[async_trait]
impl Passage for Every {
    async fn pass(&self, _: Passed) -> Result<Response<PassedBody>, NotPassed> {
        Err(NotPassed::new(Problem::new(ProblemType::NO_UPSTREAM, "nobody calls here")))
    }

    fn upstreams(&self) -> Vec<UpstreamStatus> {
        let failed = Setback { problem: ProblemType::UPSTREAM_FAILED, what: "it failed", status: Some(503) };
        let unreached = Setback { problem: ProblemType::UPSTREAM_FAILED, what: "it was not reached", status: None };
        let used = |used, limit| Some(Used { used, limit });
        let second = Duration::from_secs(1);
        let gates = vec![
            GateStatus { requests: used(120, 500), tokens: used(90_000, 100_000), ..gate("open") },
            GateStatus { limit: 3, is_adaptive: false, ..gate("busy") },
            GateStatus { requests: used(500, 500), ..gate("used-up") },
            GateStatus { shut_for: Some(second * 2), shut_by: Some(429), ..gate("shut") },
            GateStatus { breaker: Ahead::Open(second * 4), setback: Some((failed, second)), ..gate("failing") },
            GateStatus { breaker: Ahead::HalfOpen, setback: Some((unreached, second * 60)), ..gate("probed") },
        ];
        let of = |name: &str, protocol, host: &str, gates| UpstreamStatus {
            name: name.into(),
            protocol,
            host: host.into(),
            gates,
        };
        vec![
            of("backend", Protocol::Http, "reports.internal:8080", Vec::new()),
            of("openai", Protocol::Openai, "api.openai.com", gates),
        ]
    }
}

fn settings() -> ApiSettings {
    ApiSettings { doors: Doors { passage: Some(Arc::new(Every)), ..Doors::default() }, ..ApiSettings::default() }
}

#[tokio::test]
async fn every_gate_tells_how_it_stands_and_what_is_ahead() {
    let server = Server::with(ApiSettings { keyless: true, ..settings() }, Limits::default()).await;
    let reply = server.get("/v1/upstreams").await;
    assert_eq!(reply.status, StatusCode::OK);
    insta::assert_json_snapshot!("upstreams", blotted(reply.json()));
    let models = reply.json()["upstreams"][1]["models"].clone();
    let time = |place: &str| models.pointer(place).unwrap().as_str().unwrap().to_owned();
    assert!(time("/4/last_failure/at") < time("/4/probe_at"), "{models}");
    assert!(time("/5/last_failure/at") < time("/4/last_failure/at"), "{models}");
}

#[tokio::test]
async fn without_upstreams_there_are_none() {
    let reply = Server::keyless().await.get("/v1/upstreams").await;
    assert_eq!((reply.status, reply.json()), (StatusCode::OK, json!({ "upstreams": [] })));
}

/// Which models are called is named by tenants.
#[tokio::test]
async fn only_operators_see_them() {
    let server = Server::with(settings(), Limits::default()).await;
    for (scope, status) in [(Scope::Read, StatusCode::FORBIDDEN), (Scope::Admin, StatusCode::OK)] {
        let key = server.key("acme", &[scope], None).await;
        let reply = server.call(Method::GET, "/v1/upstreams", &[("authorization", &key)], "").await;
        assert_eq!((reply.status, reply.text().contains("openai")), (status, status == StatusCode::OK), "{scope}");
    }
}
