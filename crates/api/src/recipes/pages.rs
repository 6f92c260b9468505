use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use raincheck_core::{Job, JobId, ProblemType, State};
use raincheck_recipes::{Answer, Page, PageKind, Recipe, Scope};
use raincheck_store::{Cancelled, Filter};
use serde_json::{Value, json};

use super::accept::RECIPE;
use super::stream::Telling;
use super::{Guest, answer, facts, links, talk};
use crate::api::Api;
use crate::body::OptionalJsonBody;
use crate::jobs::{Follower, JobView, last_event_id, wants_stream};
use crate::problem::ApiError;
use crate::query::Query;
use crate::reply;
use crate::websocket::Handshake;

/// Jobs on a list, unless asked otherwise, and at most.
const PAGE_DEFAULT: usize = 20;
const PAGE_MAX: usize = 100;

/// Tells how far a job is: at once, as soon as it has ended (`?wait=`), or as a stream of its events, by a WebSocket too.
pub(super) async fn status(
    api: &Arc<Api>,
    recipe: &Arc<Recipe>,
    path: BTreeMap<String, String>,
    request: Request,
) -> Result<Response, ApiError> {
    let (mut parts, _) = request.into_parts();
    let guest = Guest::to_read(api, recipe, &mut parts).await?;
    let query = Query::parse(parts.uri.query().unwrap_or_default())?;
    query.only(&["wait", "after"])?;
    let id = named(path)?;
    let handshake = Handshake::of(&parts)?;
    if handshake.is_none() && !wants_stream(&parts.headers) {
        let job = job(api, recipe, &guest, id, query.wait()?).await?;
        return page(api, recipe, PageKind::Status, &job).await;
    }
    let seen = match last_event_id(&parts.headers)? {
        Some(seen) => seen,
        None => query.get("after", "the number of an event")?.unwrap_or(0),
    };
    let followed = job(api, recipe, &guest, id, None).await?;
    let has_seen_all = seen > 0 && followed.life.state.is_final() && seen >= followed.life.last_seq;
    if handshake.is_none() && has_seen_all {
        // What makes a browser's EventSource stop asking: it has seen everything there will ever be.
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let reader = api.engine.follow(id, guest.sees.as_ref(), seen).await?.ok_or_else(ApiError::no_such_job)?;
    let follower = Follower::new(api, reader);
    let telling = Telling { api: Arc::clone(api), recipe: Arc::clone(recipe), guest, job: id, follower };
    Ok(match handshake {
        Some(handshake) => handshake.tell(telling, api.closing.clone()),
        None => telling.stream(),
    })
}

/// Cancels a job; asking again changes nothing.
pub(super) async fn cancel(
    api: &Arc<Api>,
    recipe: &Recipe,
    path: BTreeMap<String, String>,
    request: Request,
) -> Result<Response, ApiError> {
    let (mut parts, body) = request.into_parts();
    let guest = Guest::to_submit(api, recipe, &mut parts).await?;
    // Whatever a front end may send along says nothing here.
    OptionalJsonBody::from_request(Request::from_parts(parts, body), api).await?;
    let id = named(path)?;
    job(api, recipe, &guest, id, None).await?;
    match api.engine.cancel(id, guest.sees.clone(), None).await? {
        Cancelled::Done(_) | Cancelled::Finished(State::Cancelled) => {}
        Cancelled::Unknown => return Err(ApiError::no_such_job()),
        Cancelled::Finished(state) => {
            let detail = format!("the job is already {state}; there is nothing left to cancel");
            return Err(ApiError::new(ProblemType::JOB_FINISHED, detail));
        }
    }
    let job = job(api, recipe, &guest, id, None).await?;
    page(api, recipe, PageKind::Cancel, &job).await
}

/// Lists the caller's jobs, newest first.
pub(super) async fn list(api: &Arc<Api>, recipe: &Recipe, request: Request) -> Result<Response, ApiError> {
    let (mut parts, _) = request.into_parts();
    let guest = Guest::to_read(api, recipe, &mut parts).await?;
    let query = Query::parse(parts.uri.query().unwrap_or_default())?;
    query.only(&["limit"])?;
    let limit = query.limit(PAGE_DEFAULT, PAGE_MAX)?;
    let labels = vec![(RECIPE.to_owned(), recipe.name.clone())];
    let filter = Filter { tenant: guest.sees.clone(), labels, ..Filter::default() };
    let now = api.engine.clock().now();
    let found = api.engine.store().list(filter, limit, now).await?;
    let Some(page) = recipe.pages.get(&PageKind::List) else { return Err(ApiError::no_such_job()) };
    let mut jobs = Vec::with_capacity(found.jobs.len());
    for listed in found.jobs {
        // Lists are without results; between the two it may be forgotten.
        let Some(job) = api.engine.get(listed.id, guest.sees.as_ref()).await? else { continue };
        jobs.push(item(api, recipe, page, &job).await?);
    }
    let jobs = Value::Array(jobs);
    let usual = (StatusCode::OK, || reply::json(StatusCode::OK, &json!({ "jobs": jobs })));
    answer::told(recipe, &page.answer, &links::to(api, &guest.tenant).with_jobs(&jobs), usual)
}

async fn item(api: &Api, recipe: &Recipe, page: &Page, job: &Job) -> Result<Value, ApiError> {
    let Some(item) = &page.item else {
        return Ok(serde_json::to_value(JobView::without_place(job, api.engine.clock().now(), &api.settings.path))
            .unwrap_or_default());
    };
    item.render(&scope(api, job).await?).map_err(|error| answer::broken(recipe, &error))
}

/// The job that a path names, by its id or as a UUID. What can be neither names none.
fn named(path: BTreeMap<String, String>) -> Result<JobId, ApiError> {
    let text = path.into_values().next().unwrap_or_default();
    let id = if text.starts_with("job_") { text } else { format!("job_{}", text.replace('-', "").to_lowercase()) };
    id.parse().map_err(|_| ApiError::no_such_job())
}

/// A job of the recipe.
async fn job(
    api: &Api,
    recipe: &Recipe,
    guest: &Guest,
    id: JobId,
    wait: Option<std::time::Duration>,
) -> Result<Job, ApiError> {
    let job = api.job(id, guest.sees.as_ref(), wait).await?;
    let is_its = |job: &Job| job.spec.labels.get(RECIPE) == Some(&recipe.name);
    job.filter(is_its).ok_or_else(ApiError::no_such_job)
}

/// What the status page says, for the end of a stream; nothing if the job is no more.
pub(super) async fn told(api: &Api, recipe: &Recipe, guest: &Guest, id: JobId) -> Option<String> {
    let job = api.engine.get(id, guest.sees.as_ref()).await.ok()??;
    let page = recipe.pages.get(&PageKind::Status)?;
    let Some(body) = &page.answer.body else { return serde_json::to_string(&JobView::new(&job, api)).ok() };
    body.render_json(&scope(api, &job).await.ok()?).ok()
}

/// What a page of the recipe says of a job.
pub(super) async fn page(api: &Api, recipe: &Recipe, kind: PageKind, job: &Job) -> Result<Response, ApiError> {
    let usual = (StatusCode::OK, || reply::json(StatusCode::OK, &JobView::new(job, api)));
    let none = Answer::default();
    let answer = recipe.pages.get(&kind).map_or(&none, |page| &page.answer);
    answer::told(recipe, answer, &scope(api, job).await?, usual)
}

/// What a page can say of a job: all there is to know of it, and what it was given.
async fn scope(api: &Api, job: &Job) -> Result<Scope, ApiError> {
    let order: Value = match api.engine.store().input(job.id).await? {
        Some(order) => order.parse().unwrap_or_default(),
        None => Value::Null,
    };
    let input = order.get("input").cloned().unwrap_or_default();
    let scope = links::to(api, &job.spec.tenant).with_input(&input);
    let scope = scope.with_job(&facts::facts(api, job));
    Ok(match &job.spec.turn {
        Some(turn) => scope.with_conversation(&talk::facts(turn)),
        None => scope,
    })
}
