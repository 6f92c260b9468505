use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use raincheck_core::{ProblemType, Time};
use serde_json::{Value, json};

use super::page::{self, Place, Wanted};
use crate::api::Api;
use crate::auth::{Caller, Read};
use crate::problem::ApiError;
use crate::query::Query;
use crate::reply;

/// `GET /v1/models`: the models that upstreams of this dialect list, by name.
pub(super) async fn list(State(api): State<Arc<Api>>, _: Caller<Read>, query: Query) -> Result<Response, ApiError> {
    let wanted = Wanted::of(&query)?;
    let models: Vec<String> = models(&api).into_keys().collect();
    let place = |id: &str| models.binary_search_by(|model| model.as_str().cmp(id)).map_err(|_| no_such_model(id));
    let (page, has_more) = match &wanted.place {
        Place::First => first(&models, wanted.limit),
        Place::After(id) => first(&models[place(id)? + 1..], wanted.limit),
        Place::Before(id) => {
            let before = &models[..place(id)?];
            let rest = before.len().saturating_sub(wanted.limit);
            (&before[rest..], rest > 0)
        }
    };
    let models: Vec<Value> = page.iter().map(|model| object(model)).collect();
    Ok(page::reply(&models, has_more))
}

/// `GET /v1/models/{model}`.
pub(super) async fn retrieve(
    State(api): State<Arc<Api>>,
    _: Caller<Read>,
    Path(model): Path<String>,
) -> Result<Response, ApiError> {
    if !models(&api).contains_key(&model) {
        return Err(no_such_model(&model));
    }
    Ok(reply::json(StatusCode::OK, &object(&model)))
}

fn first(models: &[String], limit: usize) -> (&[String], bool) {
    (&models[..limit.min(models.len())], models.len() > limit)
}

/// Every model, with an upstream that lists it.
fn models(api: &Api) -> BTreeMap<String, String> {
    let listed = api.settings.doors.passage.as_ref().map(|passage| passage.models("anthropic"));
    listed.unwrap_or_default().into_iter().collect()
}

fn no_such_model(model: &str) -> ApiError {
    ApiError::new(ProblemType::NOT_FOUND, format!("model: {model}, which no upstream lists"))
}

fn object(model: &str) -> Value {
    // When it was released, and what its owner calls it, only its provider knows.
    json!({ "type": "model", "id": model, "display_name": model, "created_at": Time::EPOCH, "lifecycle": "active" })
}
