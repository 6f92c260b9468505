use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use raincheck_core::QueueName;
use raincheck_store::QueueStatus;
use schemars::JsonSchema;
use serde::Serialize;

use crate::api::Api;
use crate::auth::{Admin, Caller, Read};
use crate::path::QueuePath;
use crate::problem::ApiError;
use crate::query::Query;
use crate::reply;

/// The queues.
#[derive(Serialize, JsonSchema)]
pub(crate) struct QueuesReply {
    /// In order of name.
    queues: Vec<QueueView>,
}

/// A queue.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Queue")]
pub(crate) struct QueueView {
    /// Its name.
    #[schemars(with = "String")]
    queue: QueueName,
    /// How many jobs wait to be claimed.
    ready: usize,
    /// Whether claiming from it is stopped.
    paused: bool,
}

/// `GET /v1/queues`: the queue of every kind, and for an admin every other one too that is paused or in which jobs wait.
/// Others do not see those, because tenants name them.
pub(crate) async fn queues(
    State(api): State<Arc<Api>>,
    caller: Caller<Read>,
    query: Query,
) -> Result<Response, ApiError> {
    query.only(&[])?;
    let idle = |queue: QueueName| (queue.clone(), QueueStatus { queue, ready: 0, paused: false });
    let kinds = api.engine.registry().kinds();
    let mut shown: BTreeMap<_, _> = kinds.map(|about| idle(QueueName::from(&about.kind))).collect();
    for status in api.engine.store().queues() {
        if caller.is_admin || shown.contains_key(&status.queue) {
            shown.insert(status.queue.clone(), status);
        }
    }
    let view = |status: QueueStatus| QueueView { queue: status.queue, ready: status.ready, paused: status.paused };
    let queues = shown.into_values().map(view).collect();
    Ok(reply::json(StatusCode::OK, &QueuesReply { queues }))
}

/// `POST /v1/queues/{queue}/pause`: nothing is claimed from the queue any more; what runs goes on.
pub(crate) async fn pause(
    State(api): State<Arc<Api>>,
    _: Caller<Admin>,
    QueuePath(queue): QueuePath,
    query: Query,
) -> Result<Response, ApiError> {
    query.only(&[])?;
    set_paused(&api, queue, true).await
}

/// `POST /v1/queues/{queue}/resume`: jobs are claimed from the queue again.
pub(crate) async fn resume(
    State(api): State<Arc<Api>>,
    _: Caller<Admin>,
    QueuePath(queue): QueuePath,
    query: Query,
) -> Result<Response, ApiError> {
    query.only(&[])?;
    set_paused(&api, queue, false).await
}

async fn set_paused(api: &Api, queue: QueueName, paused: bool) -> Result<Response, ApiError> {
    api.engine.store().set_paused(&queue, paused).await?;
    let ready = api.engine.store().queues().into_iter().find(|status| status.queue == queue).map_or(0, |it| it.ready);
    Ok(reply::json(StatusCode::OK, &QueueView { queue, ready, paused }))
}
