use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use raincheck_core::Job;
use raincheck_engine::SubmitError;
use raincheck_store::StoreError;

use super::idempotency::{IdempotencyKey, marked};
use super::{JobRequest, JobView};
use crate::api::Api;
use crate::auth::{Caller, Submit};
use crate::body::JsonBody;
use crate::dialect::OurKey;
use crate::prefer::{self, PREFERENCE_APPLIED};
use crate::problem::ApiError;
use crate::query::Query;
use crate::reply;
use crate::wait::spread;

/// `POST /v1/jobs`: accepts a job.
pub(crate) async fn submit(
    State(api): State<Arc<Api>>,
    caller: Caller<Submit>,
    OurKey(key): OurKey<IdempotencyKey>,
    wait: Wait,
    query: Query,
    body: JsonBody,
) -> Result<Response, ApiError> {
    query.only(&[])?;
    let request: JobRequest = body.parse()?;
    let idempotency = key.single(&caller.tenant, body.bytes());
    drop(body);
    let now = api.engine.clock().now();
    let submission = request.submission(&api, caller.tenant.clone(), idempotency, now)?;
    let submitted = api.engine.submit(vec![submission]).await.map_err(|(_, error)| error)?;
    // One entry in, one out.
    let submitted = submitted.into_iter().next().unwrap_or(Err(SubmitError::Store(StoreError::Stopped)))?;
    Ok(marked(answered(&api, &caller, submitted.job(), wait).await?, &submitted))
}

/// A job that was accepted, at once or, where that is preferred, as soon as it has ended.
pub(crate) async fn answered(
    api: &Api,
    caller: &Caller<Submit>,
    job: &Job,
    Wait(wait): Wait,
) -> Result<Response, ApiError> {
    match wait {
        None => Ok(accepted(api, job)),
        Some(wait) => waited(api, caller, job, wait).await,
    }
}

/// 202, where to look, and when.
pub(crate) fn accepted(api: &Api, job: &Job) -> Response {
    let view = JobView::new(job, api);
    let look_again = spread(view.estimated_wait(api.engine.clock().now()));
    let mut response = reply::json(StatusCode::ACCEPTED, &view);
    let headers = response.headers_mut();
    headers.insert(header::LOCATION, reply::location(job.id));
    headers.insert(header::RETRY_AFTER, HeaderValue::from(look_again));
    response
}

/// 200 and the job as it ended, if it ends in time; else 202.
async fn waited(api: &Api, caller: &Caller<Submit>, job: &Job, wait: Duration) -> Result<Response, ApiError> {
    let wait = wait.min(api.settings.wait_max);
    // Gone at once if it was not to be kept: then all there is to tell is that it was accepted.
    let now = api.job(job.id, Some(&caller.tenant), Some(wait)).await?;
    let job = now.as_ref().unwrap_or(job);
    let mut response = if job.life.state.is_final() {
        let mut response = reply::json(StatusCode::OK, &JobView::new(job, api));
        response.headers_mut().insert(header::LOCATION, reply::location(job.id));
        response
    } else {
        accepted(api, job)
    };
    if let Ok(applied) = HeaderValue::try_from(format!("wait={}", wait.as_secs())) {
        response.headers_mut().insert(PREFERENCE_APPLIED, applied);
    }
    Ok(response)
}

/// What `Prefer: wait=N` says.
pub(crate) struct Wait(Option<Duration>);

impl<S: Sync> FromRequestParts<S> for Wait {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        Ok(Self(prefer::wait(&parts.headers)))
    }
}
