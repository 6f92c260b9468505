//! A server on the store model, with handlers that do what a test tells them.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use raincheck_api::{ApiSettings, keys};
use raincheck_core::{Json, Problem, ProblemType, Progress, Tenant, Time};
use raincheck_engine::{About, Chance, Clock, Context, Engine, Failure, Handler, Hub, Registry, Settings, SystemClock};
use raincheck_store::{ApiKey, Limits, MemoryStore, Scope};
use serde_json::Value;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use self::busy::Busy;

mod busy;
mod kinds;
pub(crate) mod listening;
mod llm;
pub(crate) mod receiver;

/// A running server, called without a socket.
pub(crate) struct Server {
    pub(crate) router: Router,
    pub(crate) engine: Engine,
    pub(crate) settings: Arc<ApiSettings>,
    pub(crate) closing: CancellationToken,
    /// Lets one waiting `gate` job go on.
    pub(crate) gate: Arc<Notify>,
    /// Whether the store refuses to look jobs up.
    pub(crate) is_busy: Arc<AtomicBool>,
    document: Value,
}

/// tokio's clock as time of day: a test that pauses one pauses both, and may move them by days.
struct TokioClock {
    start: Time,
    began: Instant,
}

impl TokioClock {
    fn start() -> Self {
        Self { start: SystemClock.now(), began: Instant::now() }
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Time {
        self.start.after(self.began.elapsed())
    }
}

/// What came back.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The id of the job that came back.
    pub(crate) fn id(&self) -> String {
        self.json()["id"].as_str().unwrap_or_else(|| panic!("no job: {}", self.text())).to_owned()
    }
}

/// `echo` gives its input back.
struct Echo;

#[async_trait]
impl Handler for Echo {
    fn about(&self) -> About {
        About::new("echo".parse().unwrap(), "Gives its input back.", serde_json::json!(true).into())
    }

    async fn run(&self, _: Context, input: Json) -> Result<Json, Failure> {
        Ok(input)
    }
}

/// `gate` says how far it is, gives a piece of output, and waits to be let go.
struct Gate(Arc<Notify>);

#[async_trait]
impl Handler for Gate {
    fn about(&self) -> About {
        About::new("gate".parse().unwrap(), "Waits to be let go.", serde_json::json!(true).into())
    }

    async fn run(&self, context: Context, _: Json) -> Result<Json, Failure> {
        context.progress(Progress::counted(450, 1000, "Processing file 450/1000"));
        context.emit(Json::from_text("{\"text\":\n\"a\"}".into()).unwrap()).await?;
        tokio::select! {
            () = self.0.notified() => Ok(serde_json::json!("through").into()),
            _ = context.cancelled() => Err(Failure::cancelled()),
        }
    }
}

/// `fail` fails for good, or refuses an input that asks for it.
struct Fail;

#[async_trait]
impl Handler for Fail {
    fn about(&self) -> About {
        About::new("fail".parse().unwrap(), "Fails.", serde_json::json!(true).into())
    }

    async fn check(&self, input: &Json) -> Result<(), Problem> {
        if input.as_str() == "\"refuse\"" {
            return Err(Problem::new(ProblemType::INVALID_INPUT, "it should not be \"refuse\"").at("/input"));
        }
        Ok(())
    }

    async fn run(&self, _: Context, _: Json) -> Result<Json, Failure> {
        Err(Failure::fatal(Problem::new(ProblemType::HANDLER_FAILED, "it broke")))
    }
}

impl Server {
    /// A server that asks nobody for a key.
    pub(crate) async fn keyless() -> Self {
        Self::with(ApiSettings { keyless: true, ..ApiSettings::default() }, Limits::default()).await
    }

    /// A server that asks for keys.
    pub(crate) async fn keyed() -> Self {
        Self::with(ApiSettings::default(), Limits::default()).await
    }

    pub(crate) async fn with(settings: ApiSettings, limits: Limits) -> Self {
        let gate = Arc::new(Notify::new());
        let remote = About::new("remote".parse().unwrap(), "Run by workers.", serde_json::json!(true).into());
        let registry = Registry::default().with(Echo).with(Gate(Arc::clone(&gate))).with(Fail).with_external(remote);
        Self::of(settings, limits, registry, gate, Settings::default(), Arc::new(SystemClock)).await
    }

    /// A server that asks nobody for a key, with the kinds that the doors of other dialects lead to.
    pub(crate) async fn dialects() -> Self {
        Self::dialects_with(ApiSettings { keyless: true, ..ApiSettings::default() }).await
    }

    pub(crate) async fn dialects_with(settings: ApiSettings) -> Self {
        Self::dialects_limited(settings, Limits::default()).await
    }

    pub(crate) async fn dialects_limited(settings: ApiSettings, limits: Limits) -> Self {
        let gate = Arc::new(Notify::new());
        let registry = kinds::registry(&gate);
        // Every word counts, so that tests can count them.
        let engine = Settings { progress_interval: Duration::ZERO, ..Settings::default() };
        Self::of(settings, limits, registry, gate, engine, Arc::new(SystemClock)).await
    }

    /// As [`Server::dialects`], with a time of day that a test moves with tokio's.
    pub(crate) async fn in_time() -> Self {
        let gate = Arc::new(Notify::new());
        let (settings, registry) = (ApiSettings { keyless: true, ..ApiSettings::default() }, kinds::registry(&gate));
        Self::of(settings, Limits::default(), registry, gate, Settings::default(), Arc::new(TokioClock::start())).await
    }

    async fn of(
        settings: ApiSettings,
        limits: Limits,
        registry: Registry,
        gate: Arc<Notify>,
        running: Settings,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let (hub, is_busy) = (Hub::new(), Arc::new(AtomicBool::new(false)));
        let store = MemoryStore::new(limits, hub.clone());
        let store = Arc::new(Busy { store, is_busy: Arc::clone(&is_busy) });
        let engine = Engine::start(store, hub, registry, running, clock, Chance::seeded(7)).await.unwrap();
        let (settings, closing) = (Arc::new(settings), CancellationToken::new());
        let router = raincheck_api::router(engine.clone(), Arc::clone(&settings), closing.clone());
        let document = router.clone().oneshot(request(Method::GET, "/openapi.json", &[], "")).await.unwrap();
        let document = document.into_body().collect().await.unwrap().to_bytes();
        let document = serde_json::from_slice(&document).unwrap();
        Self { router, engine, settings, closing, gate, is_busy, document }
    }

    /// Makes a key; gives what goes into the `Authorization` header.
    pub(crate) async fn key(&self, tenant: &str, scopes: &[Scope], expires_at: Option<Time>) -> String {
        let mut random = [0; keys::RANDOM_BYTES];
        let count = u8::try_from(self.engine.store().keys().await.unwrap().len()).unwrap();
        random[..3].copy_from_slice(&[count, 1, 2]);
        let key = keys::generate(&random);
        let tenant: Tenant = tenant.parse().unwrap();
        let (id, hash, scopes, created_at) = (key.id, key.hash, scopes.to_vec(), Time::EPOCH);
        self.engine.store().add_key(ApiKey { id, hash, tenant, scopes, created_at, expires_at }).await.unwrap();
        format!("Bearer {}", key.text)
    }

    /// Sends a request. Whatever comes back must be in the OpenAPI document.
    pub(crate) async fn send(&self, request: Request<Body>) -> Reply {
        let operation = self.operation(request.method(), request.uri().path());
        let response = self.router.clone().oneshot(request).await.unwrap();
        if let Some(operation) = operation {
            let media_type = response.headers().get("content-type").map(|value| value.to_str().unwrap());
            let media_type = media_type.map(|text| text.split(';').next().unwrap());
            let documented = &operation["responses"][response.status().as_str()];
            let content = documented.get("content").and_then(Value::as_object);
            let is_documented = documented.is_object()
                && media_type.is_none_or(|text| content.is_some_and(|content| content.contains_key(text)));
            assert!(is_documented, "{} answers {} {media_type:?}", operation["operationId"], response.status());
        }
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        Reply { status: parts.status, headers: parts.headers, body }
    }

    /// What the document says of a request; `None` of one that has no route.
    fn operation(&self, method: &Method, path: &str) -> Option<&Value> {
        let matches = |route: &str| {
            let (route, path): (Vec<&str>, Vec<&str>) = (route.split('/').collect(), path.split('/').collect());
            route.len() == path.len()
                && route.iter().zip(&path).all(|(a, b)| a == b || (a.starts_with('{') && !b.is_empty()))
        };
        let (_, operations) = self.document["paths"].as_object()?.iter().find(|(route, _)| matches(route))?;
        operations.get(method.as_str().to_lowercase())
    }

    pub(crate) async fn call(&self, method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        self.send(request(method, path, headers, body)).await
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.call(Method::GET, path, &[], "").await
    }

    pub(crate) async fn post(&self, path: &str, body: &str) -> Reply {
        self.call(Method::POST, path, &[], body).await
    }

    /// Submits a job; gives its id.
    pub(crate) async fn submit(&self, body: &str) -> String {
        let reply = self.post("/v1/jobs", body).await;
        assert_eq!(reply.status, StatusCode::ACCEPTED, "{}", reply.text());
        reply.id()
    }

    /// Submits a job and waits for its end; gives its id.
    pub(crate) async fn finish(&self, body: &str) -> String {
        let reply = self.call(Method::POST, "/v1/jobs", &[("prefer", "wait=10")], body).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
        reply.id()
    }

    /// Waits until a job's log has an event of this type.
    pub(crate) async fn until(&self, id: &str, event: &str) {
        let mut reader = self.engine.follow(id.parse().unwrap(), None, 0).await.unwrap().unwrap();
        let seen = async {
            while !reader.next().await.unwrap().iter().any(|seen| seen.body.event_type().as_str() == event) {}
        };
        tokio::time::timeout(Duration::from_secs(10), seen).await.unwrap();
    }
}

/// A request; a body that is not empty is sent as JSON unless the headers say otherwise.
pub(crate) fn request(method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    if !body.is_empty() && !headers.iter().any(|(name, _)| *name == "content-type") {
        request = request.header("content-type", "application/json");
    }
    if !headers.iter().any(|(name, _)| *name == "host") {
        request = request.header("host", "localhost");
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::from(body.to_owned())).unwrap()
}

/// A reply's JSON with what differs from run to run blotted out.
pub(crate) fn blotted(mut value: Value) -> Value {
    fn blot(value: &mut Value) {
        match value {
            Value::Object(map) => map.iter_mut().for_each(|(name, value)| match value {
                Value::String(text) if name.ends_with("_at") || name.ends_with("_until") || name == "at" => {
                    *text = "[time]".into();
                }
                other => blot(other),
            }),
            Value::Array(values) => values.iter_mut().for_each(blot),
            Value::String(text) => {
                if let Some(at) = text.find("job_") {
                    text.replace_range(at..(at + 36).min(text.len()), "[job]");
                }
            }
            _ => {}
        }
    }
    blot(&mut value);
    value
}
