use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use raincheck_core::{Job, Priority};
use raincheck_engine::Submitted;
use serde::Deserialize;

use super::face::Face;
use super::previous::{self, PREVIOUS};
use super::{KIND, PREFIX, retrieve, stream};
use crate::api::Api;
use crate::auth::{Caller, Submit};
use crate::body::JsonBody;
use crate::dialect::{self, Fields, Request, Wish, field, fields, hex, invalid};
use crate::jobs::{IdempotencyKey, marked};
use crate::openai::{DOOR, call};
use crate::problem::ApiError;

/// How long a Response that is not to be stored can be read once it has ended.
const NOT_STORED: Duration = Duration::from_secs(10 * 60);
/// Where a request is sent, below the upstream's own base address.
const PATH: &str = "/responses";

/// When a Response in the background has to be there.
#[derive(Debug, Deserialize)]
struct BackgroundOptions {
    #[serde(default)]
    completion_window: Option<String>,
}

/// `POST /openai/v1/responses`: with `background: true` a job, told from its log if `stream: true` too.
pub(crate) async fn create(
    State(api): State<Arc<Api>>,
    caller: Caller<Submit>,
    key: IdempotencyKey,
    headers: HeaderMap,
    body: JsonBody,
) -> Result<Response, ApiError> {
    let mut fields = fields(&body)?;
    let is_streamed = field(&fields, "stream", "true or false")?.unwrap_or(false);
    if !field(&fields, "background", "true or false")?.unwrap_or(false) {
        let previous = previous::resolve(&api, &caller, &mut fields).await?;
        let labels = previous.map(|id| (PREVIOUS, id)).into_iter().collect();
        let call = call::Call { kind: Some(KIND), path: PATH, is_streamed, labels };
        return call::answer(&api, &caller, &key, &headers, &body, fields, call).await;
    }
    dialect::refuse_own_key(&headers)?;
    let request = Request::new(caller.key_id(), PATH, body.bytes(), &headers);
    drop(body);
    for own in ["background", "stream", "stream_options"] {
        fields.remove(own);
    }
    let (priority, window) = urgency(&mut fields, is_streamed)?;
    let previous = previous::resolve(&api, &caller, &mut fields).await?;
    let is_stored = field(&fields, "store", "true or false")?.unwrap_or(true);
    let mut wish = Wish::new(&api, DOOR, KIND, fields.json());
    wish.labels = previous.map(|id| (PREVIOUS, id)).into_iter().collect();
    wish.priority = priority;
    wish.deadline = window.map(|window| api.engine.clock().now().after(window));
    wish.retention = (!is_stored).then_some(NOT_STORED);
    let submitted = dialect::submit_once(&api, &caller.tenant, wish, &key, request).await?;
    answer(&api, &submitted, is_streamed).await
}

async fn answer(api: &Api, submitted: &Submitted, is_streamed: bool) -> Result<Response, ApiError> {
    let job = submitted.job();
    let face = face(api, job).await?;
    let mut response = if is_streamed {
        stream::stream(api, job, face, None).await?
    } else {
        let mut response = retrieve::shown(api, job, face, StatusCode::ACCEPTED).await?;
        let location = format!("/openai/v1/responses/{PREFIX}{}", hex(job.id));
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(1));
        response.headers_mut().insert(header::LOCATION, HeaderValue::try_from(location).expect("plain ASCII"));
        response
    };
    if let Ok(id) = HeaderValue::try_from(job.id.to_string()) {
        response.headers_mut().insert("raincheck-job", id);
    }
    Ok(marked(response, submitted))
}

async fn face(api: &Api, job: &Job) -> Result<Face, ApiError> {
    let input = api.engine.store().input(job.id).await?.unwrap_or_default();
    Ok(Face::new(job, &input))
}

/// How urgent a Response is, and by when it has to be there.
fn urgency(fields: &mut Fields, is_streamed: bool) -> Result<(Priority, Option<Duration>), ApiError> {
    const NAME: &str = "background_options";
    let options: Option<BackgroundOptions> = field(fields, NAME, "an object")?;
    fields.remove(NAME);
    let window = options.and_then(|options| options.completion_window);
    let hours = match window.as_deref() {
        None | Some("soonest") => return Ok((Priority::default(), None)),
        Some("2h") => 2,
        Some("8h") => 8,
        Some(_) => return Err(invalid(NAME, "completion_window should be soonest, 2h or 8h")),
    };
    if is_streamed {
        return Err(invalid(NAME, "what may take hours is not streamed; leave out stream or completion_window"));
    }
    let priority = if hours == 2 { "P6" } else { "P7" };
    Ok((priority.parse().expect("a priority"), Some(Duration::from_secs(hours * 3_600))))
}
