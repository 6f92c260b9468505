use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use raincheck_engine::Registry;
use serde_json::{Value, json};

use crate::api::Api;
use crate::reply;

mod operation;
mod operations;
mod schemas;

/// `GET /openapi.json`: this interface, as OpenAPI 3.1.
pub(crate) async fn openapi(State(api): State<Arc<Api>>) -> Response {
    reply::json_text(StatusCode::OK, api.openapi.clone())
}

/// The document for a server with these kinds, which may answer without a key or not.
pub(crate) fn document(registry: &Registry, keyless: bool) -> Bytes {
    let mut paths = serde_json::Map::new();
    for operation in operations::all() {
        let (path, method) = (operation.path, operation.method);
        paths.entry(path).or_insert_with(|| json!({}))[method] = operation.document(keyless);
    }
    let kinds: Vec<&str> = registry.kinds().map(|about| about.kind.as_str()).collect();
    let document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Raincheck",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Durable background jobs: a slow request is given a job, which is surely done. Every error is a \
                            problem (RFC 9457) with a stable `type`, and says in `outcome` whether anything was done.",
            "license": { "name": "MIT OR Apache-2.0" },
        },
        "paths": paths,
        "components": {
            "schemas": schemas::all(&kinds),
            "securitySchemes": {
                "key": { "type": "http", "scheme": "bearer", "description": "An API key: `Authorization: Bearer rc_…`." },
            },
        },
    });
    Value::to_string(&document).into()
}
