use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use raincheck_core::{Job, Json, Priority, Webhook, WebhookForm};
use raincheck_engine::Submitted;
use serde::de::IgnoredAny;
use serde_json::json;

use super::target::{self, Target, Wanted};
use super::{APP, KIND, late, no_such_request, result, status};
use crate::api::Api;
use crate::auth::{Caller, Submit};
use crate::body::OptionalJsonBody;
use crate::dialect::{self, Base, OurKey, Wish};
use crate::jobs::{IdempotencyKey, marked};
use crate::problem::ApiError;
use crate::query::Query;
use crate::{reply, webhooks};

/// How long a synchronous call is held open.
const RUN_MAX: Duration = Duration::from_secs(20 * 60);
/// The priority of `X-Fal-Queue-Priority: low`.
const LOW: u8 = 7;

/// `POST /fal/{owner}/{app}`: accepts a request, or carries it out at once if it was sent to where that is done.
pub(super) async fn submit(
    State(api): State<Arc<Api>>,
    caller: Caller<Submit>,
    OurKey(key): OurKey<IdempotencyKey>,
    base: Base,
    headers: HeaderMap,
    target: Target,
    OptionalJsonBody(body): OptionalJsonBody,
) -> Result<Response, ApiError> {
    let Wanted::Endpoint { endpoint, is_sync } = target.wanted else { return Err(target::nothing_here()) };
    let webhook = webhook(&api, &target.query, &base)?;
    let input = match &body {
        None => Json::from(json!({})),
        Some(body) => {
            body.parse::<IgnoredAny>()?;
            body.parse_json()?
        }
    };
    drop(body);
    let upstream = api.settings.doors.upstream("fal", &endpoint)?;
    let input = input_of(upstream, &endpoint, &input);
    let start_by = late::start_by(&headers, api.engine.clock().now())?;
    let app = target::app_of(&endpoint);
    let labels = [(APP, app.clone())].into_iter().chain(start_by.map(|at| (late::START_BY, at.to_string()))).collect();
    let wish = Wish { priority: priority(&headers), labels, webhook, ..Wish::new(&api, "fal", KIND, input) };
    let submitted = dialect::submit(&api, &caller.tenant, wish, &key).await?;
    let job = submitted.job();
    if matches!(submitted, Submitted::New(_)) {
        late::watch(&api, job);
    }
    let response = if is_sync {
        run(&api, &caller, job).await?
    } else {
        let place = status::Place { base: format!("{}{}", base.0, target::PREFIX), app };
        reply::json(StatusCode::OK, &status::queued(&api, job, &place))
    };
    Ok(marked(response, &submitted))
}

/// The input of the kind: the endpoint is the model.
fn input_of(upstream: Option<String>, endpoint: &str, input: &Json) -> Json {
    let mut fields = json!({ "model": endpoint });
    if let Some(upstream) = upstream {
        fields["upstream"] = json!(upstream);
    }
    // The caller's arguments as they came, so that numbers keep their digits.
    let fields = fields.to_string();
    let text = format!("{},\"input\":{}}}", fields.trim_end_matches('}'), input.as_str());
    Json::from_text(text).unwrap_or_default()
}

/// Whom the query wants to be told of the end.
fn webhook(api: &Api, query: &Query, base: &Base) -> Result<Option<Webhook>, ApiError> {
    let Some(url) = query.get::<String>("fal_webhook", "an address")? else { return Ok(None) };
    let webhook = webhooks::wanted(api, &url, "fal_webhook")?;
    Ok(Some(Webhook { form: WebhookForm::Fal, base: base.0.clone(), ..webhook }))
}

fn priority(headers: &HeaderMap) -> Priority {
    let is_low = headers.get("x-fal-queue-priority").is_some_and(|value| value == "low");
    if is_low { Priority::new(LOW).unwrap_or_default() } else { Priority::default() }
}

/// Waits for the end of a job. If the client goes away, the job goes on.
async fn run(api: &Api, caller: &Caller<Submit>, job: &Job) -> Result<Response, ApiError> {
    let ended = Box::pin(api.engine.wait(job.id, Some(&caller.tenant), RUN_MAX));
    let job = tokio::select! {
        job = ended => job?,
        () = api.closing.cancelled() => api.engine.get(job.id, Some(&caller.tenant)).await?,
    };
    result(&job.ok_or_else(no_such_request)?)
}
