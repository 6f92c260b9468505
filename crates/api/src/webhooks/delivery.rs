use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use raincheck_core::{Job, ProblemType, Time};
use raincheck_store::{Delivery, DeliveryState};
use schemars::JsonSchema;
use serde::Serialize;

use crate::api::Api;
use crate::auth::{Caller, Read, Submit};
use crate::body::NoBody;
use crate::path::JobPath;
use crate::problem::ApiError;
use crate::query::Query;
use crate::reply;

/// How far a job's webhook is.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Delivery")]
pub(crate) struct DeliveryView {
    /// Who is told.
    url: String,
    /// Where it stands: `pending` until it is told the end of the job, then `delivered` or `given_up`.
    state: DeliveryStateView,
    /// How often the end was told, or tried to be.
    tries: u32,
    /// When it is tried next.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    next_try_at: Option<Time>,
    /// When it was tried last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    last_try_at: Option<Time>,
    /// What it answered then, or why it could not be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_answer: Option<String>,
}

/// Where the delivery of a job's end stands.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "DeliveryState")]
enum DeliveryStateView {
    Pending,
    Delivered,
    GivenUp,
}

impl DeliveryView {
    fn new(url: String, delivery: Option<Delivery>) -> Self {
        let Some(Delivery { tries, state, last }) = delivery else {
            let state = DeliveryStateView::Pending;
            return Self { url, state, tries: 0, next_try_at: None, last_try_at: None, last_answer: None };
        };
        let (state, next_try_at) = match state {
            DeliveryState::Pending(at) => (DeliveryStateView::Pending, Some(at)),
            DeliveryState::Delivered => (DeliveryStateView::Delivered, None),
            DeliveryState::GivenUp => (DeliveryStateView::GivenUp, None),
        };
        let (last_try_at, last_answer) = last.unzip();
        Self { url, state, tries, next_try_at, last_try_at, last_answer }
    }
}

/// `GET /v1/jobs/{id}/webhook`: how far it is.
pub(crate) async fn delivery(
    State(api): State<Arc<Api>>,
    caller: Caller<Read>,
    JobPath(id): JobPath,
    query: Query,
) -> Result<Response, ApiError> {
    query.only(&[])?;
    let job = api.engine.get(id, caller.sees()).await?.ok_or_else(ApiError::no_such_job)?;
    Ok(reply::json(StatusCode::OK, &view(&api, &job).await?))
}

/// `POST /v1/jobs/{id}/webhook/redeliver`: tells the end of a job again.
pub(crate) async fn redeliver(
    State(api): State<Arc<Api>>,
    caller: Caller<Submit>,
    JobPath(id): JobPath,
    query: Query,
    _: NoBody,
) -> Result<Response, ApiError> {
    query.only(&[])?;
    let job = api.engine.get(id, caller.sees()).await?.ok_or_else(ApiError::no_such_job)?;
    if !api.engine.deliver_again(id, caller.sees()).await? {
        // Says why, if it is that the job has none.
        url(&job)?;
        let detail = "there is nothing to tell the webhook until the job has ended";
        return Err(ApiError::new(ProblemType::JOB_NOT_FINISHED, detail));
    }
    Ok(reply::json(StatusCode::ACCEPTED, &view(&api, &job).await?))
}

async fn view(api: &Api, job: &Job) -> Result<DeliveryView, ApiError> {
    let url = url(job)?;
    Ok(DeliveryView::new(url, api.engine.store().delivery(job.id, None).await?))
}

fn url(job: &Job) -> Result<String, ApiError> {
    let none = |detail: &'static str| ApiError::new(ProblemType::NO_WEBHOOK, detail);
    match &job.spec.webhook {
        Some(webhook) if webhook.wants_end() => Ok(webhook.url.clone()),
        Some(_) => Err(none("the webhook of the job is not told of its end: it asked for other events only")),
        None => Err(none("the job was submitted without a webhook")),
    }
}
