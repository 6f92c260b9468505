use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use raincheck_core::{Json, Problem, ProblemType, Webhook, WebhookEvent, WebhookForm};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{DOOR, KIND, prediction};
use crate::api::Api;
use crate::auth::{Caller, Submit};
use crate::body::JsonBody;
use crate::dialect::{self, Base, OurKey, Wish};
use crate::jobs::{IdempotencyKey, marked};
use crate::prefer::{PREFER, PREFERENCE_APPLIED};
use crate::problem::ApiError;
use crate::{reply, webhooks};

/// How long `Prefer: wait=N` may wait, as at Replicate; and without a number it waits as long as it may.
const WAIT_MIN: Duration = Duration::from_secs(1);
const WAIT_MAX: Duration = Duration::from_secs(60);
/// The label by which a prediction's model is shown.
pub(super) const MODEL: &str = "model";
/// The longest name of a model, in bytes: that of a label's value.
const MODEL_MAX: usize = 256;

/// What a prediction is created from. What is not read here (`stream`) changes nothing.
#[derive(Deserialize)]
struct Wanted {
    version: Option<String>,
    #[serde(default = "no_input")]
    input: Json,
    webhook: Option<String>,
    webhook_events_filter: Option<Vec<WantedEvent>>,
}

/// What of a prediction a webhook is told; all of it if it does not say.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum WantedEvent {
    Start,
    Output,
    Logs,
    Completed,
}

impl WantedEvent {
    const ALL: [Self; 4] = [Self::Start, Self::Output, Self::Logs, Self::Completed];

    fn event(self) -> WebhookEvent {
        match self {
            Self::Start => WebhookEvent::Started,
            Self::Output => WebhookEvent::Output,
            Self::Logs => WebhookEvent::Progress,
            Self::Completed => WebhookEvent::Ended,
        }
    }
}

fn no_input() -> Json {
    json!({}).into()
}

/// The input of the kind.
#[derive(Serialize)]
struct Input<'a> {
    model: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream: Option<&'a str>,
    input: &'a Json,
}

/// `POST /v1/predictions`: of a version, or of a model by its name.
pub(super) async fn create(
    State(api): State<Arc<Api>>,
    caller: Caller<Submit>,
    OurKey(key): OurKey<IdempotencyKey>,
    base: Base,
    headers: HeaderMap,
    body: JsonBody,
) -> Result<Response, ApiError> {
    let wanted: Wanted = body.parse()?;
    let Some(model) = wanted.version.clone() else {
        return Err(Problem::new(ProblemType::INVALID_REQUEST, "version is missing: which model?")
            .at("/version")
            .into());
    };
    drop(body);
    predict(&api, &caller, &key, &base, &headers, &model, wanted).await
}

/// `POST /v1/models/{owner}/{name}/predictions`.
pub(super) async fn create_of_model(
    State(api): State<Arc<Api>>,
    caller: Caller<Submit>,
    OurKey(key): OurKey<IdempotencyKey>,
    base: Base,
    headers: HeaderMap,
    Path((owner, name)): Path<(String, String)>,
    body: JsonBody,
) -> Result<Response, ApiError> {
    let wanted: Wanted = body.parse()?;
    drop(body);
    predict(&api, &caller, &key, &base, &headers, &format!("{owner}/{name}"), wanted).await
}

async fn predict(
    api: &Api,
    caller: &Caller<Submit>,
    key: &IdempotencyKey,
    base: &Base,
    headers: &HeaderMap,
    model: &str,
    wanted: Wanted,
) -> Result<Response, ApiError> {
    check(model, &wanted)?;
    let wait = wait(headers)?.map(|wait| wait.min(api.settings.wait_max));
    let webhook = webhook(api, &wanted, base)?;
    let upstream = api.settings.doors.upstream("replicate", model)?;
    let input =
        Json::from_value(&Input { model, upstream: upstream.as_deref(), input: &wanted.input }).unwrap_or_default();
    let labels = vec![(MODEL, model.to_owned())];
    let wish = Wish { labels, webhook, ..Wish::new(api, DOOR, KIND, input) };
    let submitted = dialect::submit(api, &caller.tenant, wish, key).await?;
    let job = submitted.job();
    let now = match wait {
        Some(_) => api.job(job.id, Some(&caller.tenant), wait).await?,
        None => None,
    };
    let job = now.as_ref().unwrap_or(job);
    let mut view = prediction::of(api, job, &wanted.input, base);
    if !job.life.state.is_final() {
        // Clients that waited take any other for the end.
        view["status"] = json!("starting");
    }
    let mut response = reply::json(StatusCode::CREATED, &view);
    if let Some(applied) = wait.and_then(|wait| HeaderValue::try_from(format!("wait={}", wait.as_secs())).ok()) {
        response.headers_mut().insert(PREFERENCE_APPLIED, applied);
    }
    Ok(marked(response, &submitted))
}

/// Whom the prediction's caller wants to be told.
fn webhook(api: &Api, wanted: &Wanted, base: &Base) -> Result<Option<Webhook>, Problem> {
    let Some(url) = &wanted.webhook else { return Ok(None) };
    let webhook = webhooks::wanted(api, url, "/webhook")?;
    let events =
        wanted.webhook_events_filter.as_deref().filter(|filter| !filter.is_empty()).unwrap_or(&WantedEvent::ALL);
    let events = events.iter().map(|wanted| wanted.event()).collect();
    Ok(Some(Webhook { form: WebhookForm::Replicate, events, base: base.0.clone(), ..webhook }))
}

fn check(model: &str, wanted: &Wanted) -> Result<(), Problem> {
    let invalid = |pointer: &str, detail: &str| Err(Problem::new(ProblemType::INVALID_REQUEST, detail).at(pointer));
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'/' | b':');
    if model.is_empty() || model.len() > MODEL_MAX || !model.bytes().all(plain) {
        return invalid("/version", "a model is owner/name, owner/name:version or a version");
    }
    if !wanted.input.as_str().trim_start().starts_with('{') {
        return invalid("/input", "the input of a prediction is an object");
    }
    Ok(())
}

/// How long the client would wait: `Prefer: wait`, or `wait=N`. One that cannot be is refused, as at Replicate: who would rather
/// wait should not find out by being answered at once.
fn wait(headers: &HeaderMap) -> Result<Option<Duration>, Problem> {
    let values = headers.get_all(PREFER).into_iter().filter_map(|value| value.to_str().ok());
    let preferences =
        values.flat_map(|value| value.split([',', ';'])).map(|preference| match preference.split_once('=') {
            Some((name, value)) => (name.trim(), Some(value.trim().trim_matches('"'))),
            None => (preference.trim(), None),
        });
    let wait = preferences.filter(|(name, _)| name.eq_ignore_ascii_case("wait")).map(|(_, seconds)| seconds).next();
    let seconds = match wait {
        None => return Ok(None),
        Some(None) => return Ok(Some(WAIT_MAX)),
        Some(Some(seconds)) => seconds,
    };
    let wait = seconds.parse().ok().map(Duration::from_secs).filter(|wait| (WAIT_MIN..=WAIT_MAX).contains(wait));
    let wrong = || {
        let detail = format!("Prefer should be wait, or wait=1 to wait=60 (seconds); wait={seconds} cannot be");
        Problem::new(ProblemType::INVALID_REQUEST, detail)
    };
    wait.map(Some).ok_or_else(wrong)
}
