//! Batches: jobs of kind `llm.batch` as OpenAI's SDKs see them.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use raincheck_blob::FileId;
use raincheck_core::{Job, Json, Outcome, Priority, ProblemType, Tenant, Time};
use raincheck_store::{Cancelled, Filter};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::expiry::ExpiresAfter;
use super::page::{Page, Wanted};
use super::{DOOR, files};
use crate::api::Api;
use crate::auth::{Caller, Read, Submit};
use crate::body::JsonBody;
use crate::dialect::{self, OurKey, Request, Wish, field, fields, hex, invalid, job_of};
use crate::jobs::{IdempotencyKey, error, marked};
use crate::problem::ApiError;
use crate::query::Query;
use crate::reply;

const KIND: &str = "llm.batch";
const PREFIX: &str = "batch_";
/// The longest that a batch may be given, in hours.
const HOURS_MAX: u64 = 7 * 24;
/// How long a batch can be read once it has ended, as at OpenAI.
const RETENTION: Duration = Duration::from_secs(30 * 24 * 3600);
/// Batches give way to what somebody waits for.
const PRIORITY: &str = "P7";
/// Batches on a page, unless asked otherwise, and at most.
const PAGE_DEFAULT: usize = 20;
const PAGE_MAX: usize = 100;
/// How long a cancelled batch is waited for: it says what it has done, or that it is being cancelled.
const END_WITHIN: Duration = Duration::from_secs(2);
/// How long the files that a batch leaves are kept.
const OUTPUT_EXPIRES_AFTER: &str = "output_expires_after";
/// The step in which the kind says what is wrong with the file.
const MISTAKES: &str = "mistakes";

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Counts {
    total: u64,
    completed: u64,
    failed: u64,
}

/// What the kind gives as its result.
#[derive(Debug, Default, Deserialize)]
struct Ended {
    request_counts: Counts,
    output_file_id: Option<String>,
    error_file_id: Option<String>,
}

/// `POST /openai/v1/batches`.
pub(crate) async fn create(
    State(api): State<Arc<Api>>,
    caller: Caller<Submit>,
    OurKey(key): OurKey<IdempotencyKey>,
    headers: HeaderMap,
    body: JsonBody,
) -> Result<Response, ApiError> {
    let fields = fields(&body)?;
    let request = Request::new(caller.key_id(), "/batches", body.bytes(), &headers);
    drop(body);
    let expiry: Option<ExpiresAfter> = field(&fields, OUTPUT_EXPIRES_AFTER, "an object")?;
    expiry.map(|expiry| expiry.checked(OUTPUT_EXPIRES_AFTER)).transpose()?;
    let window = window(field(&fields, "completion_window", "a text such as 24h")?)?;
    let file: Option<String> = field(&fields, "input_file_id", "the id of a file")?;
    let file = file.ok_or_else(|| invalid("input_file_id", "say which file holds the calls"))?;
    files::found(&api, &caller.tenant, &file)
        .map_err(|_| invalid("input_file_id", format!("No such File object: {file}")))?;
    let mut wish = Wish::new(&api, DOOR, KIND, fields.json());
    wish.priority = PRIORITY.parse::<Priority>().expect("a priority");
    wish.deadline = Some(api.engine.clock().now().after(window));
    wish.retention = Some(RETENTION);
    let submitted = dialect::submit_once(&api, &caller.tenant, wish, &key, request).await?;
    let object = object(&api, submitted.job()).await?;
    Ok(marked(reply::json(StatusCode::OK, &object), &submitted))
}

/// `GET /openai/v1/batches/{id}`.
pub(crate) async fn retrieve(
    State(api): State<Arc<Api>>,
    caller: Caller<Read>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let job = found(&api, caller.sees(), &id).await?;
    Ok(reply::json(StatusCode::OK, &object(&api, &job).await?))
}

/// `POST /openai/v1/batches/{id}/cancel`. Of one that has ended nothing changes.
pub(crate) async fn cancel(
    State(api): State<Arc<Api>>,
    caller: Caller<Submit>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let job = found(&api, caller.sees(), &id).await?;
    if api.engine.cancel(job.id, caller.sees().cloned(), None).await? == Cancelled::Unknown {
        return Err(no_such_batch(&id));
    }
    let job = api.job(job.id, caller.sees(), Some(END_WITHIN)).await?.ok_or_else(|| no_such_batch(&id))?;
    Ok(reply::json(StatusCode::OK, &object(&api, &job).await?))
}

/// `GET /openai/v1/batches`: the newest first.
pub(crate) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller<Read>,
    query: Query,
) -> Result<Response, ApiError> {
    let wanted = Wanted::of(&query, PAGE_DEFAULT, PAGE_MAX)?;
    let before = match &wanted.after {
        Some(after) => Some(job_of(PREFIX, after).ok_or_else(|| no_such_batch(after))?.key()),
        None => None,
    };
    let filter = Filter { tenant: caller.sees().cloned(), kind: KIND.parse().ok(), before, ..Filter::default() };
    let (jobs, has_more) = dialect::page(&api, filter, wanted.limit).await?;
    let mut items = Vec::with_capacity(jobs.len());
    for job in jobs {
        // Lists leave out how jobs ended.
        let Some(job) = api.engine.get(job.id, caller.sees()).await? else { continue };
        items.push((format!("{PREFIX}{}", hex(job.id)), Json::from(object(&api, &job).await?)));
    }
    Ok(Page::picked(items, has_more).reply())
}

async fn found(api: &Api, sees: Option<&Tenant>, id: &str) -> Result<Job, ApiError> {
    dialect::find(api, PREFIX, id, KIND, sees).await?.ok_or_else(|| no_such_batch(id))
}

fn no_such_batch(id: &str) -> ApiError {
    ApiError::new(ProblemType::NOT_FOUND, format!("No batch found with id {id:?}."))
}

/// How long a batch may take: `24h`, or another number of hours.
fn window(text: Option<String>) -> Result<Duration, ApiError> {
    let text = text.unwrap_or_else(|| "24h".to_owned());
    let hours = text.strip_suffix('h').and_then(|hours| hours.parse().ok());
    let hours: Option<u64> = hours.filter(|hours| (1..=HOURS_MAX).contains(hours));
    let hours = hours.ok_or_else(|| {
        invalid("completion_window", format!("completion_window should be 24h, or 1h to {HOURS_MAX}h"))
    })?;
    Ok(Duration::from_secs(hours * 3_600))
}

async fn object(api: &Api, job: &Job) -> Result<Value, ApiError> {
    let input = api.engine.store().input(job.id).await?.unwrap_or_default();
    let input: Value = input.parse().unwrap_or_default();
    let ended = ended(api, job);
    let (life, spec) = (&job.life, &job.spec);
    let at = |is_so: bool| if is_so { seconds(life.finished_at) } else { Value::Null };
    let status = match &job.outcome {
        Some(Outcome::Completed(_)) => "completed",
        Some(Outcome::Failed(_)) => "failed",
        Some(Outcome::Cancelled(_)) => "cancelled",
        Some(Outcome::Expired) => "expired",
        None if life.cancel_requested => "cancelling",
        None if life.started_at.is_some() => "in_progress",
        None => "validating",
    };
    Ok(json!({
        "id": format!("{PREFIX}{}", hex(job.id)),
        "object": "batch",
        "endpoint": input["endpoint"],
        "errors": errors(api, job).await?,
        "input_file_id": input["input_file_id"],
        "completion_window": input["completion_window"].as_str().unwrap_or("24h"),
        "status": status,
        "output_file_id": ended.output_file_id,
        "error_file_id": ended.error_file_id,
        "created_at": seconds(Some(spec.created_at)),
        "in_progress_at": seconds(life.started_at),
        "expires_at": seconds(spec.deadline),
        "finalizing_at": at(status == "completed"),
        "completed_at": at(status == "completed"),
        "failed_at": at(status == "failed"),
        "expired_at": at(status == "expired"),
        "cancelling_at": at(status == "cancelled"),
        "cancelled_at": at(status == "cancelled"),
        "request_counts": ended.request_counts,
        "metadata": input["metadata"],
    }))
}

/// What a batch has done, and the files that it has left: by its result, or by what it said last.
fn ended(api: &Api, job: &Job) -> Ended {
    if let Some(Outcome::Completed(result)) = &job.outcome {
        return result.parse().unwrap_or_default();
    }
    let progress = job.life.progress.clone().unwrap_or_default();
    let failed = progress.message.strip_suffix(" failed").and_then(|number| number.parse().ok()).unwrap_or(0);
    let completed = progress.current.unwrap_or(0).saturating_sub(failed);
    let request_counts = Counts { total: progress.total.unwrap_or(0), completed, failed };
    let left = |role: &str| {
        let id = FileId::of_job(job.id, role);
        let there = api.settings.doors.files.as_ref()?.get(&job.spec.tenant, &id);
        there.map(|about| about.id.to_string())
    };
    Ended { request_counts, output_file_id: left("output"), error_file_id: left("error") }
}

/// What was wrong with the file, line by line, or why else the batch failed.
async fn errors(api: &Api, job: &Job) -> Result<Value, ApiError> {
    let Some(outcome @ Outcome::Failed(_)) = &job.outcome else { return Ok(Value::Null) };
    let steps = api.engine.store().steps(job.id).await?;
    let told = steps.iter().find(|step| step.name == MISTAKES).and_then(|step| step.result.parse::<Value>().ok());
    let data = told.unwrap_or_else(|| {
        let problem = error(outcome);
        let code = problem.as_ref().map(|problem| problem.name().replace('-', "_"));
        let message = problem.as_ref().map(|problem| problem.detail.as_str());
        json!([{ "code": code, "message": message, "line": null, "param": null }])
    });
    Ok(json!({ "object": "list", "data": data }))
}

fn seconds(at: Option<Time>) -> Value {
    at.map_or(Value::Null, |at| at.as_millis().div_euclid(1_000).into())
}
