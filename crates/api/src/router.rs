use std::sync::Arc;

use axum::Router;
use axum::handler::Handler;
use axum::http::Method;
use axum::routing::{MethodFilter, on};
use raincheck_core::ProblemType;
use raincheck_engine::Engine;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::api::Api;
use crate::auth::Keyring;
use crate::body::Bodies;
use crate::dialect::Calls;
use crate::metrics::{HttpMetrics, metrics};
use crate::problem::ApiError;
use crate::{
    ApiSettings, anthropic, conversations, door, fal, files, health, jobs, kinds, leases, openai, openapi, queues,
    recipes, replicate, upstreams, webhooks,
};

/// Everything that is served, on an engine. Once `closing` is cancelled, streams of events and waiting requests end.
pub fn router(engine: Engine, settings: Arc<ApiSettings>, closing: CancellationToken) -> Router {
    let (router, api) = api(engine, settings, closing);
    router
        .fallback(recipes::serve)
        .method_not_allowed_fallback(no_such_method)
        .layer(axum::middleware::from_fn_with_state(Arc::clone(&api), door::door))
        .with_state(api)
}

/// The same for a program that has routes of its own, to be merged into its router: everything is under
/// [`ApiSettings::path`], and what is not found is the program's to answer.
///
/// # Panics
/// If that path is neither empty nor one that begins with a slash and ends without.
pub fn routes_within(engine: Engine, settings: Arc<ApiSettings>, closing: CancellationToken) -> Router {
    let (router, api) = api(engine, settings, closing);
    let router = router
        .method_not_allowed_fallback(no_such_method)
        .route_layer(axum::middleware::from_fn_with_state(Arc::clone(&api), door::door))
        .with_state(Arc::clone(&api));
    let path = &api.settings.path;
    if path.is_empty() { router } else { Router::new().nest(path, router) }
}

fn api(engine: Engine, settings: Arc<ApiSettings>, closing: CancellationToken) -> (Router<Arc<Api>>, Arc<Api>) {
    let Routes { router, listed, others } = routes();
    let metrics = HttpMetrics::new(listed.iter().map(|(_, path)| *path).chain(others));
    let (keyring, bodies, calls) = (Keyring::default(), Bodies::default(), Calls::default());
    let visitors = recipes::Visitors::default();
    let openapi = openapi::document(engine.registry(), settings.keyless);
    let tasks = TaskTracker::new();
    let api = Arc::new(Api { engine, settings, closing, keyring, bodies, visitors, metrics, tasks, calls, openapi });
    webhooks::begin(&api);
    (router, api)
}

/// Every route there is.
fn routes() -> Routes {
    openai::routes(replicate::routes(anthropic::routes(fal::routes(native()))))
}

/// The routes of Raincheck's own API.
fn native() -> Routes {
    Routes::default()
        .with(Method::POST, "/v1/jobs", jobs::submit)
        .with(Method::GET, "/v1/jobs", jobs::list)
        .with(Method::POST, "/v1/jobs:batch", jobs::submit_batch)
        .with(Method::GET, "/v1/jobs/{id}", jobs::get)
        .with(Method::DELETE, "/v1/jobs/{id}", jobs::delete)
        .with(Method::GET, "/v1/jobs/{id}/result", jobs::result)
        .with(Method::GET, "/v1/jobs/{id}/events", jobs::events)
        .with(Method::GET, "/v1/jobs/{id}/files/{name}", jobs::file)
        .with(Method::POST, "/v1/jobs/{id}/cancel", jobs::cancel)
        .with(Method::POST, "/v1/jobs/{id}/retry", jobs::retry)
        .with(Method::GET, "/v1/jobs/{id}/webhook", webhooks::delivery)
        .with(Method::POST, "/v1/jobs/{id}/webhook/redeliver", webhooks::redeliver)
        .with(Method::GET, "/v1/webhooks/secret", webhooks::secret)
        .with(Method::POST, "/v1/webhooks/secret/rotate", webhooks::rotate)
        .with(Method::POST, "/v1/conversations", conversations::create)
        .with(Method::GET, "/v1/conversations", conversations::list)
        .with(Method::GET, "/v1/conversations/{id}", conversations::get)
        .with(Method::DELETE, "/v1/conversations/{id}", conversations::delete)
        .with(Method::GET, "/v1/conversations/{id}/messages", conversations::messages)
        .with(Method::POST, "/v1/conversations/{id}/messages", conversations::say)
        .with(Method::GET, "/v1/files/{id}/content", files::content)
        .with(Method::GET, "/v1/kinds", kinds::kinds)
        .with(Method::GET, "/v1/queues", queues::queues)
        .with(Method::POST, "/v1/queues/{queue}/pause", queues::pause)
        .with(Method::POST, "/v1/queues/{queue}/resume", queues::resume)
        .with(Method::GET, "/v1/upstreams", upstreams::upstreams)
        .with(Method::POST, "/v1/leases", leases::claim)
        .with(Method::POST, "/v1/leases/heartbeat", leases::heartbeat)
        .with(Method::POST, "/v1/leases/{id}/events", leases::append)
        .with(Method::POST, "/v1/leases/{id}/finish", leases::finish)
        .with(Method::GET, "/files/{id}", files::linked)
        .with(Method::GET, "/healthz", health::healthz)
        .with(Method::GET, "/readyz", health::readyz)
        .with(Method::GET, "/metrics", metrics)
        .with(Method::GET, "/openapi.json", openapi::openapi)
}

/// The method and path of every route, as the OpenAPI document names them.
#[must_use]
pub fn listed() -> Vec<(Method, &'static str)> {
    routes().listed
}

/// A router that remembers what it routes.
#[derive(Default)]
pub(crate) struct Routes {
    router: Router<Arc<Api>>,
    listed: Vec<(Method, &'static str)>,
    /// The paths of dialects, which their own authors document.
    others: Vec<&'static str>,
}

impl Routes {
    fn with<H: Handler<T, Arc<Api>>, T: 'static>(mut self, method: Method, path: &'static str, handler: H) -> Self {
        // Only methods that HTTP itself names are listed above.
        let filter = MethodFilter::try_from(method.clone()).expect("a method that axum knows");
        self.listed.push((method, path));
        Self { router: self.router.route(path, on(filter, handler)), ..self }
    }

    /// A route of a dialect, which is no part of the OpenAPI document.
    pub(crate) fn dialect<H: Handler<T, Arc<Api>>, T: 'static>(
        mut self,
        method: Method,
        path: &'static str,
        handler: H,
    ) -> Self {
        let filter = MethodFilter::try_from(method).expect("a method that axum knows");
        self.others.push(path);
        Self { router: self.router.route(path, on(filter, handler)), ..self }
    }
}

async fn no_such_method() -> ApiError {
    ApiError::new(ProblemType::METHOD_NOT_ALLOWED, "this path takes the methods that the Allow header names")
}
