//! Calls whose answer is waited for: passed on to an upstream, or accepted as a job for those who ask for that.

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use raincheck_core::{Job, Json, ProblemType};
use serde_json::Value;

use super::direct::{Chat, Endpoint, Images};
use super::{DOOR, held, responses, served, stored};
use crate::api::Api;
use crate::auth::{Caller, Submit};
use crate::body::JsonBody;
use crate::dialect::{self, Addressed, Fields, Request, Wish, field, hex};
use crate::jobs::{IdempotencyKey, accepted, error, marked};
use crate::prefer::{self, PREFERENCE_APPLIED};
use crate::problem::ApiError;
use crate::{Passed, reply};

/// The caller's headers that the upstream is sent. Its key is Raincheck's, and stays here.
const SENT_ON: [HeaderName; 3] = [header::ACCEPT, header::CONTENT_TYPE, HeaderName::from_static("openai-beta")];
/// The upstream's headers that the caller is given, besides those of its rate limits. Whose account it is, is not told.
const GIVEN_BACK: [HeaderName; 6] = [
    header::CONTENT_TYPE,
    HeaderName::from_static("openai-processing-ms"),
    HeaderName::from_static("openai-version"),
    HeaderName::from_static("raincheck-served-by"),
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("openai-model"),
];
const LIMITS: &str = "x-ratelimit-";

/// Which call it is.
pub(super) struct Call {
    /// The kind of job that does the same; `None` if there is none, and it is only passed on.
    pub(super) kind: Option<&'static str>,
    /// Where it is sent, below the upstream's base address.
    pub(super) path: &'static str,
    /// Whether its answer is a stream.
    pub(super) is_streamed: bool,
    /// Labels of a job that is made of it.
    pub(super) labels: Vec<(&'static str, String)>,
}

/// Answers a call: at once and by the upstream, or as a job if the caller says `Prefer: respond-async`.
pub(super) async fn answer(
    api: &Api,
    caller: &Caller<Submit>,
    key: &IdempotencyKey,
    headers: &HeaderMap,
    body: &JsonBody,
    fields: Fields,
    call: Call,
) -> Result<Response, ApiError> {
    let request = Request::new(caller.key_id(), call.path, body.bytes(), headers);
    if let Some(kind) = call.kind {
        let is_async = prefer::respond_async(headers);
        if is_async || held::names_files(body) {
            dialect::refuse_own_key(headers)?;
            let input = input(api, kind, fields)?;
            let wish = Wish { labels: call.labels, ..Wish::new(api, DOOR, kind, input) };
            if is_async {
                return accept(api, caller, key, headers, wish, request).await;
            }
            held::check(kind, call.is_streamed)?;
            let submitted = dialect::submit_once(api, &caller.tenant, wish, key, request).await?;
            return held::answer(api, &submitted, &caller.tenant, call.is_streamed).await;
        }
    }
    let Some(passage) = &api.settings.doors.passage else {
        let detail = "no upstream is configured that calls could be passed on to; its operator can add one as \
                      [upstream.NAME]";
        return Err(ApiError::new(ProblemType::NO_UPSTREAM, detail));
    };
    let sent_on = |name: &HeaderName| headers.get(name).map(|value| (name.clone(), value.clone()));
    let model = field(&fields, "model", "the name of a model")?.unwrap_or_default();
    let own_key = dialect::own_key(api, headers)?;
    let Addressed { upstream, body } = Addressed::new(body, fields)?;
    let passed = Passed {
        protocol: "openai",
        model,
        upstream,
        own_key,
        method: Method::POST,
        path: call.path.to_owned(),
        headers: SENT_ON.iter().filter_map(sent_on).collect(),
        body,
        idempotency_key: String::new(),
    };
    let request = request.under(key, &caller.tenant);
    dialect::pass(api, passage, passed, call.is_streamed, request, is_given_back).await
}

fn is_given_back(name: &HeaderName) -> bool {
    GIVEN_BACK.contains(name) || name.as_str().starts_with(LIMITS)
}

/// Accepts a job that does the same; its answer if it is there within the time that the caller would wait.
async fn accept(
    api: &Api,
    caller: &Caller<Submit>,
    key: &IdempotencyKey,
    headers: &HeaderMap,
    wish: Wish,
    request: Request,
) -> Result<Response, ApiError> {
    let kind = wish.kind;
    let submitted = dialect::submit_once(api, &caller.tenant, wish, key, request).await?;
    let job = submitted.job();
    let wait = prefer::wait(headers);
    let now = api.job(job.id, Some(&caller.tenant), wait).await?;
    let mut response = match now.as_ref().filter(|job| wait.is_some() && job.life.state.is_final()) {
        Some(job) => ended(api, job, kind).await?,
        None => accepted(api, now.as_ref().unwrap_or(job)),
    };
    response.headers_mut().insert(PREFERENCE_APPLIED, HeaderValue::from_static("respond-async"));
    Ok(marked(response, &submitted))
}

/// What a job of this kind is given.
fn input(api: &Api, kind: &str, mut fields: Fields) -> Result<Json, ApiError> {
    for own in ["background", "stream", "stream_options"] {
        fields.remove(own);
    }
    if kind != Images::KIND {
        return Ok(fields.json());
    }
    let mut input = Fields::of("{}").expect("it is an object");
    // Pictures are made by upstreams of other protocols, too, which do not understand what is asked here.
    let model: String = field(&fields, "model", "the name of a model")?.unwrap_or_default();
    if fields.get("upstream").is_none()
        && let Some(upstream) = api.settings.doors.upstream(DOOR, &model)?
    {
        input.set("upstream", &Json::from(Value::from(upstream)));
    }
    for name in ["upstream", "model"] {
        if let Some(value) = fields.remove(name).and_then(|value| Json::from_text(value).ok()) {
            input.set(name, &value);
        }
    }
    input.set("input", &fields.json());
    Ok(input.json())
}

/// The answer that the call would have had, once its job has ended.
pub(super) async fn ended(api: &Api, job: &Job, kind: &str) -> Result<Response, ApiError> {
    let result = match job.outcome.as_ref().and_then(responses::answer) {
        Some(result) => result.clone(),
        None => {
            let problem = job.outcome.as_ref().and_then(error).map(std::borrow::Cow::into_owned);
            return Err(problem.map_or_else(|| no_such(kind), |problem| ApiError::of_job(job.id, problem)));
        }
    };
    let prefix = match kind {
        Chat::KIND => Some(stored::PREFIX),
        responses::KIND => Some(responses::PREFIX),
        _ => None,
    };
    let mut text = result.as_str().to_owned();
    if let (Some(prefix), Some(mut fields)) = (prefix, Fields::of(&text)) {
        fields.set("id", &Json::from(serde_json::Value::from(format!("{prefix}{}", hex(job.id)))));
        text = fields.json().as_str().to_owned();
    }
    let mut response = reply::json_text(StatusCode::OK, text);
    response.headers_mut().insert(header::LOCATION, reply::location(job.id));
    served::tell(api, job, &mut response).await?;
    Ok(response)
}

/// There is no such job for the caller, in OpenAI's word for jobs of this kind.
pub(super) fn no_such(kind: &str) -> ApiError {
    ApiError::no_such(match kind {
        responses::KIND => "response",
        Chat::KIND => "chat completion",
        _ => "call",
    })
}
