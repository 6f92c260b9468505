use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use raincheck_engine::Engine;
use tokio_util::sync::CancellationToken;

use crate::ApiSettings;

/// Everything that is served, on an engine. Once `closing` is cancelled, streams of events and waiting requests end.
pub fn router(engine: Engine, settings: Arc<ApiSettings>, closing: CancellationToken) -> Router {
    let _ = (engine, settings, closing);
    Router::new().route("/healthz", get(async || "ok"))
}
