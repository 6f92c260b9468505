use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::api::Api;
use crate::auth::{Admin, Caller};
use crate::problem::ApiError;
use crate::query::Query;

mod engine;
mod gates;

/// The prefix of every name.
const PREFIX: &str = "raincheck";
/// Upper bounds of the latency histogram, in seconds.
const BUCKETS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 60.0];

/// What is counted of requests.
pub(crate) struct HttpMetrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    latency: Family<RouteLabels, Histogram, fn() -> Histogram>,
    routes: HashMap<&'static str, &'static str>,
}

// Only static text: counting a request allocates nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    route: &'static str,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    method: &'static str,
    route: &'static str,
}

impl HttpMetrics {
    /// Counts requests to these routes.
    pub(crate) fn new(routes: impl IntoIterator<Item = &'static str>) -> Self {
        let mut registry = Registry::with_prefix(PREFIX);
        let requests = Family::default();
        let latency = Family::new_with_constructor((|| Histogram::new(BUCKETS)) as fn() -> Histogram);
        registry.register("http_requests", "Requests answered, by method, route and status", requests.clone());
        registry.register(
            "http_request_duration_seconds",
            "Time until a request was answered, until the first byte if the answer is a stream",
            latency.clone(),
        );
        Self { registry, requests, latency, routes: routes.into_iter().map(|route| (route, route)).collect() }
    }

    /// The static text of a route.
    pub(crate) fn route(&self, path: &str) -> Option<&'static str> {
        self.routes.get(path).copied()
    }

    /// Counts a request.
    pub(crate) fn observe(&self, method: &Method, route: &'static str, status: StatusCode, took: Duration) {
        let method = static_name(method);
        self.requests.get_or_create(&RequestLabels { method, route, status: status.as_u16() }).inc();
        self.latency.get_or_create(&RouteLabels { method, route }).observe(took.as_secs_f64());
    }
}

/// The name of a method; of those that nobody knows, one for all, so that clients cannot invent labels.
fn static_name(method: &Method) -> &'static str {
    const KNOWN: [(&Method, &str); 7] = [
        (&Method::GET, "GET"),
        (&Method::POST, "POST"),
        (&Method::DELETE, "DELETE"),
        (&Method::HEAD, "HEAD"),
        (&Method::PUT, "PUT"),
        (&Method::PATCH, "PATCH"),
        (&Method::OPTIONS, "OPTIONS"),
    ];
    KNOWN.iter().find(|(known, _)| *known == method).map_or("other", |(_, name)| name)
}

/// `GET /metrics`: everything that is counted, for Prometheus.
pub(crate) async fn metrics(State(api): State<Arc<Api>>, _: Caller<Admin>, query: Query) -> Result<Response, ApiError> {
    query.only(&[])?;
    let mut text = String::with_capacity(16 * 1024);
    let gates = api.settings.doors.passage.as_ref().map(|passage| gates::registry(&passage.gates()));
    for registry in
        [Some(&engine::registry(&api.engine)), gates.as_ref(), Some(&api.metrics.registry)].into_iter().flatten()
    {
        // Each registry ends its part with a mark of the end, of which one may remain. Writing to a string does not fail.
        text.truncate(text.strip_suffix("# EOF\n").unwrap_or(&text).len());
        let _ = encode(&mut text, registry);
    }
    let mut response = Response::new(Body::from(text));
    let content_type = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    Ok(response)
}
