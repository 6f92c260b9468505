//! Over HTTP: beside the program's own routes, under a path, and alone.

use std::net::SocketAddr;

use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::get as on_get;
use axum::{Extension, Router};
use raincheck::{Builder, Identity, Raincheck, RunError, Tenant};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, block_in_place};

use super::program;
use crate::support::{Place, Reply, get, post, request};

/// A program that is served, until its Raincheck is shut down.
struct Served {
    raincheck: Raincheck,
    address: SocketAddr,
    serving: JoinHandle<Result<(), RunError>>,
}

impl Served {
    async fn start(place: &Place, app: impl FnOnce(&Raincheck) -> Router) -> Self {
        Self::of(program(place), app).await
    }

    async fn of(program: Builder, app: impl FnOnce(&Raincheck) -> Router) -> Self {
        let raincheck = program.start().await.expect("it starts");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("an address");
        let (address, app, server) = (listener.local_addr().expect("an address"), app(&raincheck), raincheck.clone());
        #[expect(clippy::disallowed_methods, reason = "waited for by `stop`")]
        let serving = tokio::spawn(async move { server.serve(listener, app, std::future::pending()).await });
        Self { raincheck, address, serving }
    }

    fn get(&self, path: &str) -> Reply {
        block_in_place(|| get(self.address, path))
    }

    fn post(&self, path: &str, body: &str) -> Reply {
        block_in_place(|| post(self.address, path, body))
    }

    async fn stop(self) {
        self.raincheck.shutdown().await.expect("it stops in order");
        self.serving.await.expect("no panic").expect("serving ends in order");
    }
}

fn everybody() -> Extension<Identity> {
    Extension(Identity::of(Tenant::default()))
}

fn with_own_routes(raincheck: &Raincheck) -> Router {
    let own = Router::new().route("/health", on_get(|| async { "fine" })).fallback(async || "the program's own words");
    own.merge(raincheck.router().layer(everybody()))
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_served_beside_the_programs_own_routes() {
    let place = Place::new();
    let served = Served::start(&place, with_own_routes).await;
    assert_eq!(served.get("/health").body, "fine");
    assert_eq!(served.get("/nothing/here").body, "the program's own words");
    let accepted = served.post("/v1/jobs", r#"{"kind": "sum", "input": {"of": [1, 2, 3]}}"#);
    assert_eq!(accepted.status, 202, "{accepted:?}");
    let location = &accepted.headers["location"];
    assert_eq!(served.get(&format!("{location}/result?wait=30")).body, "6");
    let wrong_method = block_in_place(|| request(served.address, "PUT", location, &[], ""));
    assert_eq!(
        (wrong_method.status, wrong_method.json()["title"].as_str()),
        (405, Some("This path does not take this method"))
    );
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_the_type_is_refused_before_there_is_a_job() {
    let place = Place::new();
    let served = Served::start(&place, with_own_routes).await;
    let refusal = |input: &str| {
        let reply = served.post("/v1/jobs", &format!(r#"{{"kind": "sum", "input": {input}}}"#));
        let body = reply.json();
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        (reply.status, text("pointer"), text("detail"), text("outcome"))
    };
    let refused = |pointer: &str, detail: &str| (422, pointer.to_owned(), detail.to_owned(), "rejected".to_owned());
    assert_eq!(refusal("{}"), refused("/input", "missing field `of`"));
    assert_eq!(
        refusal(r#"{"of": [1, "two"]}"#),
        refused("/input/of/1", "invalid type: string \"two\", expected a whole number")
    );
    assert_eq!(refusal(r#"{"of": [], "off": 1}"#), refused("/input/off", "unknown field `off`, expected `of`"));
    assert_eq!(served.get("/v1/jobs").json()["jobs"], json!([]));
    let kinds = served.get("/v1/kinds").json();
    assert_eq!(kinds["kinds"][0]["input_schema"]["properties"]["of"]["description"], "To be added up.");
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn under_a_path_the_links_lead_there() {
    let place = Place::new();
    let own = |raincheck: &Raincheck| {
        let own = Router::new().route("/metrics", on_get(|| async { "own" }));
        own.merge(raincheck.router().layer(everybody()))
    };
    let served = Served::of(program(&place).path("/slow"), own).await;
    assert_eq!(served.get("/metrics").body, "own");
    let accepted = served.post("/slow/v1/jobs", r#"{"kind": "sum", "input": {"of": [4, 5]}}"#);
    let location = &accepted.headers["location"];
    assert!(location.starts_with("/slow/v1/jobs/job_"), "{location}");
    assert_eq!(served.get(&format!("{location}/result?wait=30")).body, "9");
    let links = &served.get(location).json()["links"];
    assert_eq!(links["self"].as_str(), Some(location.as_str()));
    assert_eq!(served.get(links["result"].as_str().expect("a link")).body, "9");
    let address = served.address;
    let metrics = block_in_place(|| get(address, "/slow/metrics")).status;
    assert_eq!(metrics, 403, "what is an operator's is not everybody's");
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_somebody_is_is_said_by_a_key_or_by_the_program() {
    /// The program's own way to know its users.
    async fn known(mut request: Request, next: Next) -> Response {
        let user = request.headers().get("x-user").and_then(|user| user.to_str().ok()).map(str::to_owned);
        if let Some(tenant) = user.and_then(|user| user.parse::<Tenant>().ok()) {
            request.extensions_mut().insert(Identity::of(tenant));
        }
        next.run(request).await
    }
    let place = Place::new();
    let served = Served::start(&place, |raincheck| raincheck.router().layer(from_fn(known))).await;
    let body = r#"{"kind": "sum", "input": {"of": [1]}}"#;
    let as_user = |user: &str, method: &str, path: &str, body: &str| {
        let headers = [("x-user", user), ("content-type", "application/json")];
        block_in_place(|| request(served.address, method, path, &headers, body))
    };
    assert_eq!(served.post("/v1/jobs", body).status, 401);
    let accepted = as_user("ann", "POST", "/v1/jobs", body);
    assert_eq!((accepted.status, accepted.json()["tenant"].as_str()), (202, Some("ann")));
    let location = &accepted.headers["location"];
    assert_eq!(as_user("ann", "GET", location, "").status, 200);
    assert_eq!(as_user("bob", "GET", location, "").status, 404);
    assert_eq!(as_user("ann", "GET", "/metrics", "").status, 403, "an identity has only the scopes that it was given");
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn alone_it_is_as_safe_as_the_command() {
    let place = Place::new();
    let raincheck = program(&place).start().await.expect("it starts");
    let refused = raincheck.run("0.0.0.0:0").await;
    assert!(matches!(refused, Err(RunError::Unsafe(_))), "{refused:?}");
    let taken = TcpListener::bind("127.0.0.1:0").await.expect("an address");
    let refused = raincheck.run(taken.local_addr().expect("an address")).await;
    assert!(matches!(refused, Err(RunError::Address { .. })), "{refused:?}");
    drop(taken);
    let (ran, stopped) = tokio::join!(raincheck.run("127.0.0.1:0"), raincheck.shutdown());
    ran.expect("it ends in order when it is shut down");
    stopped.expect("it stops in order");
}
