use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use raincheck_core::{Problem, ProblemType, Time};
use raincheck_engine::{Submission, SubmitError, Submitted};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::idempotency::{IDEMPOTENCY_REPLAYED, IdempotencyKey};
use super::{JobRequest, JobView};
use crate::api::Api;
use crate::auth::{Caller, Submit};
use crate::body::JsonBody;
use crate::dialect::OurKey;
use crate::json::Object;
use crate::problem::{ApiError, ProblemBody};
use crate::query::Query;
use crate::reply;
use crate::wait::spread;

/// Wishes for jobs. All are checked before any is accepted.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BatchRequest {
    /// The wishes, up to 1000.
    #[schemars(length(min = 1, max = 1000))]
    jobs: Vec<Object<JobRequest>>,
}

/// What became of the wishes of a batch.
#[derive(Serialize, JsonSchema)]
pub(crate) struct BatchReply<'a> {
    /// In the order of the wishes.
    jobs: Vec<BatchEntry<'a>>,
    /// How many were accepted, now or before under the same key.
    accepted: usize,
}

/// What became of one wish of a batch: exactly one of the two.
#[derive(Serialize, JsonSchema)]
struct BatchEntry<'a> {
    /// The job.
    #[serde(skip_serializing_if = "Option::is_none")]
    job: Option<JobView<'a>>,
    /// Why there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ProblemBody<'a>>,
}

impl<'a> BatchEntry<'a> {
    fn new(entry: &'a Result<Submitted, ApiError>, now: Time, path: &'a str) -> Self {
        match entry {
            Ok(submitted) => Self { job: Some(JobView::without_place(submitted.job(), now, path)), error: None },
            Err(error) => Self { job: None, error: Some(error.body()) },
        }
    }
}

/// `POST /v1/jobs:batch`: accepts many jobs in one durable write.
pub(crate) async fn submit_batch(
    State(api): State<Arc<Api>>,
    caller: Caller<Submit>,
    OurKey(key): OurKey<IdempotencyKey>,
    query: Query,
    body: JsonBody,
) -> Result<Response, ApiError> {
    query.only(&[])?;
    let BatchRequest { jobs } = body.parse()?;
    if jobs.is_empty() || jobs.len() > api.settings.batch_max {
        let detail = format!("a batch has from 1 to {} jobs; split it", api.settings.batch_max);
        return Err(Problem::new(ProblemType::INVALID_REQUEST, detail).at("/jobs").into());
    }
    let names = key.batch(&caller.tenant, body.bytes(), jobs.len());
    drop(body);
    let now = api.engine.clock().now();
    let mut submissions: Vec<Submission> = Vec::with_capacity(jobs.len());
    for (number, (Object(job), name)) in jobs.into_iter().zip(names).enumerate() {
        let submission = job.submission(&api, caller.tenant.clone(), name, now);
        submissions.push(submission.map_err(|problem| ApiError::from(problem).of_entry(number))?);
    }
    let submitted = api.engine.submit(submissions).await;
    let submitted = submitted.map_err(|(number, error)| ApiError::from(error).of_entry(number))?;
    Ok(answer(&api, submitted))
}

/// 202 if all were accepted, 207 if some were, and the first problem if none was.
fn answer(api: &Api, submitted: Vec<Result<Submitted, SubmitError>>) -> Response {
    let replayed = submitted.iter().any(|entry| matches!(entry, Ok(Submitted::Existing(_))));
    let entries: Vec<Result<Submitted, ApiError>> =
        submitted.into_iter().map(|entry| entry.map_err(Into::into)).collect();
    let accepted = entries.iter().filter(|entry| entry.is_ok()).count();
    let status = match (accepted, entries.len()) {
        (0, 1..) => {
            let first = entries.into_iter().find_map(Result::err);
            return first.map(IntoResponse::into_response).unwrap_or_default();
        }
        (accepted, all) if accepted == all => StatusCode::ACCEPTED,
        _ => StatusCode::MULTI_STATUS,
    };
    let now = api.engine.clock().now();
    let jobs = entries.iter().map(|entry| BatchEntry::new(entry, now, &api.settings.path)).collect();
    let mut response = reply::json(status, &BatchReply { jobs, accepted });
    if let Some(wait) = entries.iter().filter_map(|entry| entry.as_ref().err()?.wait()).max() {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(spread(wait)));
    }
    if replayed {
        response.headers_mut().insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
    }
    response
}
