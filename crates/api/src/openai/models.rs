use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use raincheck_core::{Problem, ProblemType};
use serde_json::{Value, json};

use crate::api::Api;
use crate::auth::{Caller, Read};
use crate::problem::ApiError;
use crate::reply;

/// `GET /openai/v1/models`: the models that the configured upstreams list.
pub(crate) async fn list(State(api): State<Arc<Api>>, _: Caller<Read>) -> Response {
    let data: Vec<Value> = models(&api).iter().map(|(model, upstream)| object(model, upstream)).collect();
    reply::json(StatusCode::OK, &json!({ "object": "list", "data": data }))
}

/// `GET /openai/v1/models/{model}`.
pub(crate) async fn retrieve(
    State(api): State<Arc<Api>>,
    _: Caller<Read>,
    Path(model): Path<String>,
) -> Result<Response, ApiError> {
    let models = models(&api);
    let upstream = models.get(&model).ok_or_else(|| {
        let detail = format!("The model {model:?} is not listed by any upstream.");
        Problem::new(ProblemType::NO_UPSTREAM, detail).at("/model")
    })?;
    Ok(reply::json(StatusCode::OK, &object(&model, upstream)))
}

/// Every model with the first upstream that lists it.
fn models(api: &Api) -> BTreeMap<String, String> {
    let listed = api.settings.doors.passage.as_ref().map(|passage| passage.models("openai")).unwrap_or_default();
    listed.into_iter().rev().collect()
}

fn object(model: &str, upstream: &str) -> Value {
    // When a model was made, only its provider knows.
    json!({ "id": model, "object": "model", "created": 0, "owned_by": upstream })
}
