use axum::http::StatusCode;
use axum::response::Response;

use crate::reply;

/// `GET /openapi.json`: this interface, as OpenAPI 3.1.
pub(crate) async fn openapi() -> Response {
    reply::json(StatusCode::OK, &serde_json::json!({}))
}
