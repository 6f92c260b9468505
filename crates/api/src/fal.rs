//! The door that speaks the dialect of FAL's queue, under `/fal`; docs/fal.md says what is spoken.

mod late;
mod status;
mod stream;
mod submit;
mod target;

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use axum::response::Response;
use raincheck_core::{Job, JobId, Json, Outcome, Problem, Tenant};
use raincheck_store::Cancelled;
use serde_json::{Value, json};

use self::target::{Target, Wanted};
use crate::api::Api;
use crate::auth::{Caller, Read, Submit};
use crate::dialect::{self, Base};
use crate::jobs;
use crate::path::is_kind;
use crate::problem::ApiError;
use crate::router::Routes;
use crate::{reply, webhooks};

/// The kind of job that a request becomes.
const KIND: &str = "image.generate";
/// The label with the app that a request was sent to. Jobs that did not come in by this door have none.
const APP: &str = "app";
/// By what name FAL's clients know a request.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-fal-request-id");

/// The routes of this door. Endpoints have two or more parts, so that what a path means is looked at by [`Target`].
pub(crate) fn routes(routes: Routes) -> Routes {
    let routes = routes.dialect(Method::GET, "/fal/.well-known/jwks.json", keys);
    ["/fal", "/fal/{*path}"].into_iter().fold(routes, |routes, path| {
        routes.dialect(Method::POST, path, submit::submit).dialect(Method::GET, path, read).dialect(
            Method::PUT,
            path,
            cancel,
        )
    })
}

/// `GET …/requests/{id}`, `…/status` and `…/status/stream`.
async fn read(
    State(api): State<Arc<Api>>,
    caller: Caller<Read>,
    base: Base,
    target: Target,
) -> Result<Response, ApiError> {
    let Wanted::Request { app, job: id, what } = target.wanted else { return Err(target::nothing_here()) };
    let job = request(&api, id, &app, caller.sees()).await?;
    let place = status::Place { base: format!("{}{}", base.0, target::PREFIX), app };
    match what.as_str() {
        "" | "response" => result(&job),
        "status" => status::status(&api, job, caller.sees(), &place, status::wants_logs(&target.query)?).await,
        "status/stream" => {
            stream::stream(api, job, caller.sees().cloned(), place, status::wants_logs(&target.query)?).await
        }
        _ => Err(target::nothing_here()),
    }
}

/// The job of a request to this app; other kinds of jobs are none, and a request to another app is none of this one's.
async fn request(api: &Api, id: JobId, app: &str, tenant: Option<&Tenant>) -> Result<Job, ApiError> {
    let is_its = |job: &Job| job.spec.labels.get(APP).is_none_or(|own| *own == target::app_of(app));
    let job = api.engine.get(id, tenant).await?;
    let job = job.filter(|job| is_kind(job, KIND) && is_its(job)).ok_or_else(no_such_request)?;
    Ok(late::ended(api, job).await?)
}

fn no_such_request() -> ApiError {
    ApiError::no_such("request")
}

/// What a request gave, or its error. A failure is never told with a status that FAL's clients try again.
fn result(job: &Job) -> Result<Response, ApiError> {
    let mut response = match &job.outcome {
        Some(Outcome::Completed(result)) => reply::json_text(StatusCode::OK, result.as_str().to_owned()),
        Some(outcome) => failed(outcome),
        None => {
            let detail = "Request is still in progress";
            reply::json(StatusCode::BAD_REQUEST, &json!({ "detail": detail, "error_type": "request_in_progress" }))
        }
    };
    if job.outcome.as_ref().is_some_and(late::is_late) {
        let (name, value) = late::TIMEOUT_TYPE;
        response.headers_mut().insert(name, value);
    }
    let id = HeaderValue::try_from(dialect::uuid(job.id)).expect("a UUID");
    response.headers_mut().insert(REQUEST_ID, id);
    Ok(response)
}

/// Why a request gave nothing, as whoever asks for its result is told.
fn failed(outcome: &Outcome) -> Response {
    let (detail, error_type) = why(outcome);
    let mut status = match outcome {
        _ if late::is_late(outcome) => StatusCode::GATEWAY_TIMEOUT,
        Outcome::Cancelled(_) | Outcome::Expired => StatusCode::GONE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    if let Some(upstream) = problem(outcome).as_ref().and_then(dialect::upstream_error) {
        // FAL's own words where they are known, such as the list of what is wrong with the arguments.
        if matches!(upstream.status, 400..=407 | 410..=428 | 430..=499) {
            status = StatusCode::from_u16(upstream.status).unwrap_or(status);
        }
        if let Some(error) = upstream.error.filter(|error| error.as_str().trim_start().starts_with('{')) {
            return reply::json_text(status, error.as_str().to_owned());
        }
    }
    reply::json(status, &json!({ "detail": detail, "error_type": error_type }))
}

fn problem(outcome: &Outcome) -> Option<Problem> {
    jobs::error(outcome).map(std::borrow::Cow::into_owned)
}

/// Why a request gave nothing: in words, and the sort of error.
fn why(outcome: &Outcome) -> (String, String) {
    let detail = problem(outcome).map_or_else(String::new, |problem| problem.detail);
    let error_type = match outcome {
        _ if late::is_late(outcome) => "request_timeout".to_owned(),
        Outcome::Cancelled(_) => "client_cancelled".to_owned(),
        Outcome::Expired => "request_timeout".to_owned(),
        Outcome::Failed(problem) => problem.name().replace('-', "_"),
        Outcome::Completed(_) => String::new(),
    };
    (detail, error_type)
}

/// `PUT …/requests/{id}/cancel`.
async fn cancel(State(api): State<Arc<Api>>, caller: Caller<Submit>, target: Target) -> Result<Response, ApiError> {
    let Wanted::Request { app, job: id, what } = target.wanted else { return Err(target::nothing_here()) };
    if what != "cancel" {
        return Err(target::nothing_here());
    }
    request(&api, id, &app, caller.sees()).await?;
    match api.engine.cancel(id, caller.sees().cloned(), None).await? {
        Cancelled::Done(_) => Ok(reply::json(StatusCode::ACCEPTED, &json!({ "status": "CANCELLATION_REQUESTED" }))),
        Cancelled::Unknown => Err(no_such_request()),
        Cancelled::Finished(_) => {
            let body = json!({ "status": "ALREADY_COMPLETED", "detail": "the request has already ended" });
            Ok(reply::json(StatusCode::BAD_REQUEST, &body))
        }
    }
}

/// What a webhook is told of a request that has ended.
pub(crate) fn told(job: &Job) -> Value {
    let id = dialect::uuid(job.id);
    let payload = |json: &Json| json.parse::<Value>().unwrap_or_default();
    let mut told = json!({ "request_id": id, "gateway_request_id": id });
    match &job.outcome {
        Some(Outcome::Completed(result)) => {
            told["status"] = json!("OK");
            told["payload"] = payload(result);
        }
        None if job.life.state == raincheck_core::State::Completed => {
            told["status"] = json!("OK");
            told["payload"] = Value::Null;
            told["payload_error"] = json!("the result is too large to be told; get it by its request_id");
        }
        outcome => {
            let (detail, error_type) = outcome.as_ref().map(why).unwrap_or_default();
            let problem = outcome.as_ref().and_then(problem);
            told["status"] = json!("ERROR");
            told["error"] = json!(detail);
            told["payload"] = match problem.as_ref().and_then(dialect::upstream_error).and_then(|said| said.error) {
                Some(error) => payload(error),
                None => json!({ "detail": detail, "error_type": error_type }),
            };
        }
    }
    told
}

/// `GET /fal/.well-known/jwks.json`: the key with which what the caller's webhooks are told is signed, as FAL publishes its own.
async fn keys(State(api): State<Arc<Api>>, caller: Caller<Read>) -> Result<Response, ApiError> {
    let secrets = api.engine.webhook_secrets(&caller.tenant).await?;
    let keys = secrets.at(api.engine.clock().now()).filter_map(webhooks::fal_key);
    let keys: Vec<Value> = keys.map(|x| json!({ "kty": "OKP", "crv": "Ed25519", "use": "sig", "x": x })).collect();
    Ok(reply::json(StatusCode::OK, &json!({ "keys": keys })))
}
