//! The door that speaks the dialect of Replicate's predictions, under `/replicate`; docs/replicate.md says what is spoken.

mod create;
mod list;
mod prediction;
mod stream;

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use raincheck_core::{Job, Tenant, Time};
use raincheck_store::{Cancelled, StoreError};
use serde_json::{Value, json};

use crate::api::Api;
use crate::auth::{Caller, Read, Submit};
use crate::dialect::{self, Base};
use crate::problem::ApiError;
use crate::router::Routes;
use crate::{reply, webhooks};

/// The kind of job that a prediction becomes.
const KIND: &str = "image.generate";
/// The name of this door, by which its jobs are labelled.
const DOOR: &str = "replicate";

/// The routes of this door.
pub(crate) fn routes(routes: Routes) -> Routes {
    routes
        .dialect(Method::POST, "/replicate/v1/predictions", create::create)
        .dialect(Method::GET, "/replicate/v1/predictions", list::list)
        .dialect(Method::GET, "/replicate/v1/predictions/{id}", get)
        .dialect(Method::POST, "/replicate/v1/predictions/{id}/cancel", cancel)
        .dialect(Method::GET, "/replicate/v1/predictions/{id}/stream", stream::stream)
        .dialect(Method::GET, "/replicate/v1/webhooks/default/secret", secret)
        .dialect(Method::POST, "/replicate/v1/models/{owner}/{name}/predictions", create::create_of_model)
        .dialect(Method::GET, "/replicate/v1/models/{owner}/{name}/versions/{version}", version)
}

/// `GET /v1/predictions/{id}`.
async fn get(
    State(api): State<Arc<Api>>,
    caller: Caller<Read>,
    base: Base,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let job = find(&api, &id, caller.sees()).await?;
    let prediction = prediction::view(&api, &job, caller.sees(), &base).await?;
    Ok(reply::json(StatusCode::OK, &prediction))
}

/// `POST /v1/predictions/{id}/cancel`. Of one that has ended nothing changes.
async fn cancel(
    State(api): State<Arc<Api>>,
    caller: Caller<Submit>,
    base: Base,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let job = find(&api, &id, caller.sees()).await?;
    if api.engine.cancel(job.id, caller.sees().cloned(), None).await? == Cancelled::Unknown {
        return Err(no_such_prediction());
    }
    let job = find(&api, &id, caller.sees()).await?;
    let prediction = prediction::view(&api, &job, caller.sees(), &base).await?;
    Ok(reply::json(StatusCode::OK, &prediction))
}

/// What a webhook is told of a prediction.
pub(crate) async fn told(api: &Api, job: &Job, base: &str) -> Result<Value, StoreError> {
    prediction::view(api, job, None, &Base(base.to_owned())).await
}

/// `GET /v1/webhooks/default/secret`: what the caller's webhooks are signed with.
async fn secret(State(api): State<Arc<Api>>, caller: Caller<Submit>) -> Result<Response, ApiError> {
    let secrets = api.engine.webhook_secrets(&caller.tenant).await?;
    Ok(reply::json(StatusCode::OK, &json!({ "key": webhooks::secret_text(&secrets.current) })))
}

/// `GET /v1/models/{owner}/{name}/versions/{version}`: what the Python client looks up for a prediction of a version. Nothing
/// is known of versions here, so every one looks alike: its output has no schema.
async fn version(_: Caller<Read>, Path((.., version)): Path<(String, String, String)>) -> Response {
    let schema = json!({ "components": { "schemas": { "Input": {}, "Output": {} } } });
    let version = json!({ "id": version, "created_at": Time::EPOCH, "cog_version": "", "openapi_schema": schema });
    reply::json(StatusCode::OK, &version)
}

/// The job of a prediction.
async fn find(api: &Api, id: &str, tenant: Option<&Tenant>) -> Result<Job, ApiError> {
    dialect::find(api, "", id, KIND, tenant).await?.ok_or_else(no_such_prediction)
}

fn no_such_prediction() -> ApiError {
    ApiError::no_such("prediction")
}
