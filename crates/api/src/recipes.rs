//! The routes of recipes: what comes to them becomes jobs, and what becomes of those is told in the recipe's own words.

mod accept;
mod answer;
mod assets;
mod coming;
mod facts;
mod fields;
mod forget;
mod links;
mod pages;
mod sent;
mod steps;
mod stream;
mod talk;
mod visitors;

use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use raincheck_core::{ProblemType, Tenant};
use raincheck_recipes::{Book, Found, PageKind, Recipe};

use crate::api::Api;
use crate::auth::{Caller, Needs, Read, Submit};
use crate::problem::ApiError;

pub(crate) use steps::steps;
pub(crate) use visitors::{Peer, Visitors};

/// Whose the jobs are that come without a key to a route that takes such.
const PUBLIC: &str = "public";

/// Whatever no other route takes.
pub(crate) async fn serve(State(api): State<Arc<Api>>, request: Request) -> Response {
    let Some(book) = &api.settings.recipes else { return nothing_here().into_response() };
    if let Some(response) = assets::serve(book, &request) {
        return response;
    }
    match find(book, &request) {
        Ok(Found::Recipe(recipe, page, values)) => {
            let told = match page {
                None => accept::accept(&api, &recipe, values, request).await,
                Some(PageKind::Status) => pages::status(&api, &recipe, values, request).await,
                Some(PageKind::Cancel) => pages::cancel(&api, &recipe, values, request).await,
                Some(PageKind::List) => pages::list(&api, &recipe, request).await,
                Some(PageKind::Messages) => talk::messages(&api, &recipe, values, request).await,
                Some(PageKind::Delete) => forget::delete(&api, &recipe, values, request).await,
            };
            told.unwrap_or_else(|error| answer::refusal(&recipe, error))
        }
        Ok(Found::OtherMethods(methods)) => {
            let allowed: Vec<&str> = methods.iter().map(|method| method.as_str()).collect();
            let detail = "this path takes the methods that the Allow header names";
            let mut response = ApiError::new(ProblemType::METHOD_NOT_ALLOWED, detail).into_response();
            if let Ok(value) = HeaderValue::try_from(allowed.join(", ")) {
                response.headers_mut().insert(header::ALLOW, value);
            }
            response
        }
        Ok(Found::Nothing) => nothing_here().into_response(),
        Err(error) => error.into_response(),
    }
}

fn find(book: &Book, request: &Request) -> Result<Found, ApiError> {
    let decoded =
        |part: &str| percent_encoding::percent_decode_str(part).decode_utf8().map(std::borrow::Cow::into_owned);
    let parts: Result<Vec<String>, _> = request.uri().path().split('/').skip(1).map(decoded).collect();
    let parts =
        parts.map_err(|_| ApiError::new(ProblemType::MALFORMED_REQUEST, "the path is not percent-encoded UTF-8"))?;
    Ok(book.find(request.method().as_str(), &parts))
}

fn nothing_here() -> ApiError {
    ApiError::new(ProblemType::NOT_FOUND, "there is nothing at this path; /openapi.json lists what there is")
}

/// Whoever calls a recipe.
struct Guest {
    /// Whose their jobs are.
    tenant: Tenant,
    /// The tenant whose jobs alone they may see; `None` if all.
    sees: Option<Tenant>,
}

impl Guest {
    /// Those who may submit.
    async fn to_submit(api: &Arc<Api>, recipe: &Recipe, parts: &mut Parts) -> Result<Self, ApiError> {
        Self::of::<Submit>(api, recipe, parts).await
    }

    /// Those who may look.
    async fn to_read(api: &Arc<Api>, recipe: &Recipe, parts: &mut Parts) -> Result<Self, ApiError> {
        Self::of::<Read>(api, recipe, parts).await
    }

    /// A recipe that is public takes those who have no key, and all of them are one tenant.
    async fn of<N: Needs>(api: &Arc<Api>, recipe: &Recipe, parts: &mut Parts) -> Result<Self, ApiError> {
        if recipe.route.public && !parts.headers.contains_key(header::AUTHORIZATION) {
            let tenant: Tenant = PUBLIC.parse().map_err(|_| nothing_here())?;
            return Ok(Self { sees: Some(tenant.clone()), tenant });
        }
        let caller = Caller::<N>::from_request_parts(parts, api).await?;
        Ok(Self { sees: caller.sees().cloned(), tenant: caller.tenant })
    }
}
