use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRequestParts, Request};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use raincheck_core::{Job, Labels, Problem, ProblemType};
use raincheck_engine::{Submission, SubmitError, Submitted};
use raincheck_recipes::{Chosen, JobFacts, PageKind, Recipe};
use raincheck_store::{Idempotency, StoreError};
use serde_json::Value;
use tokio::time::Instant;

use super::sent::Arrived;
use super::{Guest, Peer, answer, links, pages, talk};
use crate::api::Api;
use crate::jobs::{IdempotencyKey, JobView, marked};
use crate::prefer;
use crate::problem::ApiError;
use crate::reply;
use crate::wait::spread;

/// The label that says of which recipe a job is.
pub(super) const RECIPE: &str = "recipe";

/// Makes a job of a request, and says so in the recipe's words.
pub(super) async fn accept(
    api: &Arc<Api>,
    recipe: &Recipe,
    path: BTreeMap<String, String>,
    request: Request,
) -> Result<Response, ApiError> {
    let (mut parts, body) = request.into_parts();
    let guest = Guest::to_submit(api, recipe, &mut parts).await?;
    limit(api, recipe, parts.extensions.get::<Peer>())?;
    let key = IdempotencyKey::from_request_parts(&mut parts, api).await?;
    let wait = prefer::wait(&parts.headers).map(|wait| wait.min(api.settings.wait_max));
    let request = Request::from_parts(parts, body);
    let mut arrived = Arrived::read(api, recipe, &guest.tenant, path, request).await?;
    let submitted = submit(api, recipe, &guest, key, std::mem::take(&mut arrived.sent)).await;
    let (submitted, input) = match submitted {
        Ok((submitted @ Submitted::New(_), input)) => (submitted, input),
        other => {
            arrived.forget(&guest.tenant).await;
            other?
        }
    };
    let told = match wait {
        Some(wait) => waited(api, recipe, submitted.job(), &input, wait).await?,
        None => told(api, recipe, submitted.job(), &input)?,
    };
    Ok(marked(told, &submitted))
}

/// What the status page says, if the job ends in time; else that it was accepted.
async fn waited(api: &Api, recipe: &Recipe, job: &Job, input: &Value, wait: Duration) -> Result<Response, ApiError> {
    let ended = api.job(job.id, Some(&job.spec.tenant), Some(wait)).await?.filter(|job| job.life.state.is_final());
    let mut response = match &ended {
        Some(job) => pages::page(api, recipe, PageKind::Status, job).await?,
        None => told(api, recipe, job, input)?,
    };
    let headers = response.headers_mut();
    headers.insert(header::LOCATION, location(recipe, job));
    if let Ok(applied) = HeaderValue::try_from(format!("wait={}", wait.as_secs())) {
        headers.insert(prefer::PREFERENCE_APPLIED, applied);
    }
    Ok(response)
}

/// Refuses whoever comes too often.
fn limit(api: &Api, recipe: &Recipe, peer: Option<&Peer>) -> Result<(), ApiError> {
    let (Some(per_minute), Some(Peer(address))) = (recipe.route.per_address, peer) else { return Ok(()) };
    api.visitors.enter(*address, &recipe.name, per_minute, Instant::now()).map_err(|wait| {
        let detail = format!("one address may come {per_minute} times a minute here; come back after Retry-After");
        ApiError::new(ProblemType::RATE_LIMITED, detail).retry_after(wait)
    })
}

/// Refuses a job while as many wait in its queue as may.
fn room(api: &Api, recipe: &Recipe, chosen: &Chosen) -> Result<(), ApiError> {
    let Some(most) = recipe.job.waiting_max else { return Ok(()) };
    let queues = api.engine.store().queues();
    let waiting = queues.iter().find(|status| Some(&status.queue) == chosen.queue.as_ref());
    let waiting = waiting.map_or(0, |status| status.ready);
    if waiting < most {
        return Ok(());
    }
    let kind = kind()?;
    Err(SubmitError::Quota { waiting, limit: most, retry_after: api.engine.retry_after(&kind, 1) }.into())
}

async fn submit(
    api: &Arc<Api>,
    recipe: &Recipe,
    guest: &Guest,
    key: IdempotencyKey,
    sent: raincheck_recipes::Sent,
) -> Result<(Submitted, Value), ApiError> {
    let input = recipe.collect(sent).map_err(|misfits| {
        let details: Vec<&str> = misfits.iter().map(|misfit| misfit.detail.as_str()).collect();
        let pointer = misfits.first().map(|misfit| misfit.pointer.clone()).unwrap_or_default();
        Problem::new(ProblemType::INVALID_INPUT, details.join("; ")).at(pointer)
    })?;
    let chosen = recipe.choose(&input);
    let chosen = chosen.map_err(|error| Problem::new(ProblemType::INVALID_INPUT, error.to_string()))?;
    room(api, recipe, &chosen)?;
    let idempotency = idempotency(recipe, guest, &key, &chosen, &input);
    let submission = submission(api, recipe, guest, chosen, &input, idempotency)?;
    let submitted = api.engine.submit(vec![submission]).await.map_err(|(_, error)| pointed(error))?;
    // One entry in, one out.
    let submitted = submitted.into_iter().next().unwrap_or(Err(SubmitError::Store(StoreError::Stopped)))?;
    Ok((submitted, input))
}

fn submission(
    api: &Api,
    recipe: &Recipe,
    guest: &Guest,
    chosen: Chosen,
    input: &Value,
    idempotency: Option<Idempotency>,
) -> Result<Submission, ApiError> {
    let now = api.engine.clock().now();
    Ok(Submission {
        tenant: guest.tenant.clone(),
        queue: chosen.queue,
        priority: chosen.priority,
        labels: Labels::from([(RECIPE.to_owned(), recipe.name.clone())]),
        deadline: chosen.deadline.map(|longest| now.after(longest)),
        max_attempts: recipe.job.max_attempts,
        timeout: recipe.job.timeout,
        retention: recipe.job.retention,
        idempotency,
        turn: talk::turn(recipe, input)?,
        concurrency_key: chosen.concurrency_key,
        ..Submission::new(kind()?, recipe.order(input).into())
    })
}

/// The caller's own name for the request comes first, then that which the recipe makes up.
fn idempotency(
    recipe: &Recipe,
    guest: &Guest,
    key: &IdempotencyKey,
    chosen: &Chosen,
    input: &Value,
) -> Option<Idempotency> {
    let request = recipe.fingerprint(input);
    if key.is_given() {
        return key.single(&guest.tenant, &request);
    }
    let own = chosen.idempotency_key.as_ref()?;
    Some(Idempotency::of(&guest.tenant, own.as_bytes(), None, &request))
}

fn kind() -> Result<raincheck_core::Kind, ApiError> {
    RECIPE.parse().map_err(|_| ApiError::new(ProblemType::INTERNAL, "recipe is no kind"))
}

/// A refusal points into the job's input; the caller knows only the recipe's.
fn pointed(error: SubmitError) -> ApiError {
    match error {
        SubmitError::Refused(mut problem) => {
            problem.pointer = problem.pointer.and_then(|at| at.strip_prefix("/input/input").map(Into::into));
            problem.into()
        }
        other => other.into(),
    }
}

/// What is said of a job that was accepted.
fn told(api: &Api, recipe: &Recipe, job: &Job, input: &Value) -> Result<Response, ApiError> {
    let facts = JobFacts {
        id: job.id.to_string(),
        uuid: job.id.uuid(),
        state: job.life.state_at(api.engine.clock().now()).to_string(),
        times: [Some(job.spec.created_at.to_string()), None, None],
        ..JobFacts::default()
    };
    let view = JobView::new(job, api);
    let look_again = spread(view.estimated_wait(api.engine.clock().now()));
    let mut scope = links::to(api, &job.spec.tenant).with_input(input).with_job(&facts);
    if let Some(turn) = &job.spec.turn {
        scope = scope.with_conversation(&talk::facts(turn));
    }
    let usual = (StatusCode::ACCEPTED, || reply::json(StatusCode::ACCEPTED, &view));
    let mut response = answer::told(recipe, &recipe.accepted, &scope, usual)?;
    let headers = response.headers_mut();
    headers.insert(header::LOCATION, location(recipe, job));
    headers.insert(header::RETRY_AFTER, HeaderValue::from(look_again));
    Ok(response)
}

/// Where it is told how far the job is.
fn location(recipe: &Recipe, job: &Job) -> HeaderValue {
    let page = recipe.pages.get(&PageKind::Status).map(|page| page.path.with(&job.id.to_string()));
    page.and_then(|page| HeaderValue::try_from(page).ok()).unwrap_or_else(|| reply::location(job.id))
}
