//! The OpenAPI document says what there is, and all of it.

use std::collections::BTreeSet;

use axum::http::StatusCode;
use serde_json::Value;

use crate::support::Server;

async fn document() -> Value {
    let reply = Server::keyless().await.get("/openapi.json").await;
    assert_eq!(reply.status, StatusCode::OK);
    reply.json()
}

#[tokio::test]
async fn the_document_is_stable() {
    insta::assert_json_snapshot!("openapi", document().await);
}

#[tokio::test]
async fn every_route_is_documented_and_nothing_else() {
    let document = document().await;
    let mut documented = BTreeSet::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for method in operations.as_object().unwrap().keys() {
            documented.insert(format!("{} {path}", method.to_uppercase()));
        }
    }
    let routed: BTreeSet<String> =
        raincheck_api::listed().iter().map(|(method, path)| format!("{method} {path}")).collect();
    assert_eq!(documented, routed);
}

#[tokio::test]
async fn every_operation_says_which_scope_it_needs() {
    let document = document().await;
    for (method, path, needed) in crate::auth::NEEDS {
        let security = &document["paths"][path][method.to_lowercase()]["security"];
        assert_eq!(security[0]["key"][0].as_str(), needed.map(|scope| scope.as_str()), "{method} {path}");
    }
}

#[tokio::test]
async fn every_reference_leads_somewhere() {
    fn walk(value: &Value, document: &Value) {
        match value {
            Value::Object(map) => {
                if let Some(Value::String(target)) = map.get("$ref") {
                    assert!(document.pointer(target.trim_start_matches('#')).is_some(), "{target}");
                }
                map.values().for_each(|value| walk(value, document));
            }
            Value::Array(values) => values.iter().for_each(|value| walk(value, document)),
            _ => {}
        }
    }
    let document = document().await;
    walk(&document, &document);
}
