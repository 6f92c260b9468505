//! Responses: jobs of kind `llm.response` as OpenAI's SDKs see them.

mod aside;
mod cancel;
mod create;
mod delete;
mod face;
mod input_items;
mod items;
mod previous;
mod retrieve;
mod stream;
mod tale;

use axum::response::Response;
use raincheck_core::{Job, Json, ProblemType, Tenant};

pub(crate) use aside::{compact, count_input_tokens};
pub(crate) use cancel::cancel;
pub(crate) use create::create;
pub(crate) use delete::delete;
pub(super) use face::answer;
pub(crate) use input_items::input_items;
pub(crate) use retrieve::retrieve;

use self::face::Face;
use crate::api::Api;
use crate::dialect;
use crate::problem::ApiError;

/// The kind of job that a Response is.
pub(super) const KIND: &str = "llm.response";
/// What its ids begin with.
pub(super) const PREFIX: &str = "resp_";

/// The job that a Response is, and its face.
async fn found(api: &Api, sees: Option<&Tenant>, id: &str) -> Result<(Job, Face), ApiError> {
    let job = dialect::find(api, PREFIX, id, KIND, sees).await?.ok_or_else(|| no_such_response(id))?;
    let input = api.engine.store().input(job.id).await?.unwrap_or_default();
    let face = Face::new(&job, &input);
    Ok((job, face))
}

/// A Response as events, from the first to the last.
pub(super) async fn streamed(api: &Api, job: &Job) -> Result<Response, ApiError> {
    let input = api.engine.store().input(job.id).await?.unwrap_or_default();
    stream::stream(api, job, Face::new(job, &input), None).await
}

/// There is no such Response for the caller; one of another tenant is told of in the same words.
fn no_such_response(id: &str) -> ApiError {
    let detail = format!("Response with id {id:?} not found.");
    ApiError::new(ProblemType::NOT_FOUND, detail)
}

/// Text as JSON.
fn text(text: &str) -> Json {
    Json::from(serde_json::Value::from(text))
}
