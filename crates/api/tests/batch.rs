//! Many jobs in one request.

use axum::http::{Method, StatusCode};
use raincheck_api::ApiSettings;
use raincheck_store::Limits;
use serde_json::json;

use crate::support::Server;

#[tokio::test]
async fn a_batch_is_accepted_in_order() {
    let server = Server::keyless().await;
    let body = r#"{"jobs": [{"kind": "echo", "input": 1}, {"kind": "gate"}]}"#;
    let reply = server.call(Method::POST, "/v1/jobs:batch", &[("idempotency-key", "b")], body).await;
    assert_eq!((reply.status, &reply.json()["accepted"]), (StatusCode::ACCEPTED, &json!(2)));
    let kinds: Vec<_> = (0..2).map(|at| reply.json()["jobs"][at]["job"]["kind"].clone()).collect();
    assert_eq!(kinds, ["echo", "gate"]);
    let again = server.call(Method::POST, "/v1/jobs:batch", &[("idempotency-key", "b")], body).await;
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(again.json()["jobs"][1]["job"]["id"], reply.json()["jobs"][1]["job"]["id"]);
}

#[tokio::test]
async fn one_mistake_refuses_the_whole_batch_and_is_pointed_at() {
    let server = Server::keyless().await;
    for (entry, pointer) in [
        (r#"{"kind": "echo", "priority": "P99"}"#, "/jobs/1/priority"),
        (r#"{"kind": "nobody"}"#, "/jobs/1/kind"),
        (r#"{"kind": "fail", "input": "refuse"}"#, "/jobs/1/input"),
        (r#"{"kind": "echo", "delay": 1, "run_at": "2100-01-01T00:00:00Z"}"#, "/jobs/1/delay"),
    ] {
        let reply = server.post("/v1/jobs:batch", &format!(r#"{{"jobs": [{{"kind": "echo"}}, {entry}]}}"#)).await;
        assert_eq!((reply.status, &reply.json()["pointer"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!(pointer)));
    }
    assert_eq!(server.post("/v1/jobs:batch", r#"{"jobs": []}"#).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(server.get("/v1/jobs").await.json()["jobs"], json!([]), "nothing was done");
}

#[tokio::test]
async fn a_quota_may_cut_a_batch_short() {
    let limits = Limits { waiting_per_tenant: 1, ..Limits::default() };
    let server = Server::with(ApiSettings { keyless: true, ..ApiSettings::default() }, limits).await;
    let body = r#"{"jobs": [{"kind": "echo", "delay": 60}, {"kind": "echo", "delay": 60}]}"#;
    let some = server.post("/v1/jobs:batch", body).await;
    assert_eq!((some.status, &some.json()["accepted"]), (StatusCode::MULTI_STATUS, &json!(1)));
    assert_eq!(some.json()["jobs"][1]["error"]["status"], json!(429));
    assert!(some.header("retry-after").is_some());
    let none = server.post("/v1/jobs:batch", body).await;
    assert_eq!(none.status, StatusCode::TOO_MANY_REQUESTS);
}
