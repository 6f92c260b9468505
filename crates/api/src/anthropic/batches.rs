use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use raincheck_core::{Job, JobId, Json, ProblemType, Tenant};
use raincheck_store::{Cancelled, Filter};
use serde::Deserialize;
use serde_json::json;

use super::batch::{self, KIND, REQUESTS};
use super::page::{self, Place, Wanted};
use crate::api::Api;
use crate::auth::{Caller, Read, Submit};
use crate::body::JsonBody;
use crate::dialect::{self, Base, OurKey, Request, Wish};
use crate::jobs::{IdempotencyKey, marked};
use crate::problem::ApiError;
use crate::query::Query;
use crate::reply;

/// What has not been done by then is not done any more, as at Anthropic.
const DEADLINE: Duration = Duration::from_secs(24 * 3600);
/// How long results can be fetched, as at Anthropic.
const RETENTION: Duration = Duration::from_secs(29 * 24 * 3600);

/// The body of a new batch, as far as this door looks at it; the kind looks at the rest.
#[derive(Deserialize)]
struct BatchRequest {
    requests: Vec<Json>,
}

/// `POST /v1/messages/batches`.
pub(super) async fn create(
    State(api): State<Arc<Api>>,
    caller: Caller<Submit>,
    OurKey(key): OurKey<IdempotencyKey>,
    base: Base,
    headers: HeaderMap,
    body: JsonBody,
) -> Result<Response, ApiError> {
    let BatchRequest { requests } = body.parse()?;
    let request = Request::new(caller.key_id(), "v1/messages/batches", body.bytes(), &headers);
    drop(body);
    let input = Json::from_value(&json!({ "requests": requests })).unwrap_or_default();
    let wish = Wish {
        labels: vec![(REQUESTS, requests.len().to_string())],
        deadline: Some(api.engine.clock().now().after(DEADLINE)),
        retention: Some(RETENTION),
        // A batch holds many inputs.
        input_bytes_max: api.settings.body_bytes_max,
        ..Wish::new(&api, "anthropic", KIND, input)
    };
    let submitted = dialect::submit_once(&api, &caller.tenant, wish, &key, request).await?;
    let response = told(&api, submitted.job(), Some(&caller.tenant), &base).await?;
    Ok(marked(response, &submitted))
}

/// `GET /v1/messages/batches/{id}`.
pub(super) async fn get(
    State(api): State<Arc<Api>>,
    caller: Caller<Read>,
    base: Base,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let job = find(&api, &id, caller.sees()).await?;
    told(&api, &job, caller.sees(), &base).await
}

/// `POST /v1/messages/batches/{id}/cancel`. Of one that has ended nothing changes.
pub(super) async fn cancel(
    State(api): State<Arc<Api>>,
    caller: Caller<Submit>,
    base: Base,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let job = find(&api, &id, caller.sees()).await?;
    match api.engine.cancel(job.id, caller.sees().cloned(), None).await? {
        Cancelled::Unknown => Err(no_such_batch()),
        Cancelled::Done(_) | Cancelled::Finished(_) => {
            let job = find(&api, &id, caller.sees()).await?;
            told(&api, &job, caller.sees(), &base).await
        }
    }
}

/// `DELETE /v1/messages/batches/{id}`, once it has ended.
pub(super) async fn delete(
    State(api): State<Arc<Api>>,
    caller: Caller<Submit>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let job = find(&api, &id, caller.sees()).await?;
    match api.engine.store().delete(job.id, caller.sees()).await? {
        None => Err(no_such_batch()),
        Some(Ok(())) => Ok(reply::json(StatusCode::OK, &json!({ "id": id, "type": "message_batch_deleted" }))),
        Some(Err(_)) => {
            let detail = "the batch has not ended; cancel it first, or wait for its end";
            Err(ApiError::new(ProblemType::JOB_NOT_FINISHED, detail))
        }
    }
}

/// `GET /v1/messages/batches`: the newest first, on after `after_id`, and back before `before_id`.
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller<Read>,
    base: Base,
    query: Query,
) -> Result<Response, ApiError> {
    let wanted = Wanted::of(&query)?;
    let key = |id: &str| batch::job_of(id).map(|job| job.key()).ok_or_else(no_such_batch);
    let filter = Filter {
        tenant: caller.sees().cloned(),
        kind: Some(KIND.parse().expect("a constant name")),
        ..Filter::default()
    };
    let (jobs, has_more) = match &wanted.place {
        Place::First => dialect::page(&api, filter, wanted.limit).await?,
        Place::After(id) => dialect::page(&api, Filter { before: Some(key(id)?), ..filter }, wanted.limit).await?,
        Place::Before(id) => dialect::page_before(&api, filter, key(id)?, wanted.limit).await?,
    };
    let mut data = Vec::with_capacity(jobs.len());
    for job in &jobs {
        // Lists leave out how jobs ended, which tells the counts.
        let whole = api.engine.get(job.id, caller.sees()).await?;
        let job = whole.as_ref().unwrap_or(job);
        data.push(batch::view(&api, job, caller.sees(), &results_url(&base, job.id)).await?);
    }
    Ok(page::reply(&data, has_more))
}

async fn told(api: &Api, job: &Job, tenant: Option<&Tenant>, base: &Base) -> Result<Response, ApiError> {
    let view = batch::view(api, job, tenant, &results_url(base, job.id)).await?;
    Ok(reply::json(StatusCode::OK, &view))
}

fn results_url(base: &Base, job: JobId) -> String {
    format!("{}/anthropic/v1/messages/batches/{}/results", base.0, batch::id_of(job))
}

/// The job of a batch.
pub(super) async fn find(api: &Api, id: &str, tenant: Option<&Tenant>) -> Result<Job, ApiError> {
    dialect::find(api, batch::ID, id, KIND, tenant).await?.ok_or_else(no_such_batch)
}

fn no_such_batch() -> ApiError {
    ApiError::no_such("message batch")
}
