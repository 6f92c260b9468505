use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use raincheck_core::ProblemType;
use raincheck_recipes::{Answer, Recipe, Scope, TemplateError};
use serde_json::json;

use crate::problem::ApiError;
use crate::reply;

/// An answer in the recipe's words; `usual` is told where it has none.
pub(super) fn told(
    recipe: &Recipe,
    answer: &Answer,
    scope: &Scope,
    usual: (StatusCode, impl FnOnce() -> Response),
) -> Result<Response, ApiError> {
    let (status, usual) = usual;
    let status = answer.status.and_then(|status| StatusCode::from_u16(status).ok()).unwrap_or(status);
    let Some(body) = &answer.body else {
        let mut response = usual();
        *response.status_mut() = status;
        return Ok(response);
    };
    let body = body.render_json(scope).map_err(|error| broken(recipe, &error))?;
    Ok(reply::json_text(status, body))
}

/// A refusal in the recipe's words, if it has any for the sort of problem. What the headers say stays.
pub(super) fn refusal(recipe: &Recipe, error: ApiError) -> Response {
    let Some(answer) = recipe.error(error.problem().name()) else { return error.into_response() };
    let (status, problem) = (error.status(), error.problem().clone());
    let facts = json!({
        "name": problem.name(),
        "title": problem.title,
        "status": status.as_u16(),
        "detail": problem.detail,
        "pointer": problem.pointer,
    });
    let mut response = error.into_response();
    if let Some(status) = answer.status.and_then(|status| StatusCode::from_u16(status).ok()) {
        *response.status_mut() = status;
    }
    let Some(body) = &answer.body else { return response };
    match body.render_json(&Scope::default().with_problem(&facts)) {
        Ok(body) => set_body(&mut response, body),
        Err(error) => {
            tracing::warn!(recipe = recipe.name, %error, "a refusal could not be put into the recipe's words");
        }
    }
    response
}

fn set_body(response: &mut Response, body: String) {
    *response.body_mut() = Body::from(body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().remove(header::CONTENT_LENGTH);
}

/// An expression of the recipe has no value: that is for its author to mend.
pub(super) fn broken(recipe: &Recipe, error: &TemplateError) -> ApiError {
    tracing::warn!(recipe = recipe.name, %error, "an expression of a recipe has no value");
    ApiError::new(ProblemType::INTERNAL, format!("recipe {}: {error}", recipe.name))
}
