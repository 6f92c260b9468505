use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use raincheck_core::{JobId, Json};
use raincheck_store::Filter;
use serde_json::json;

use super::{DOOR, KIND, prediction};
use crate::api::Api;
use crate::auth::{Caller, Read};
use crate::dialect::{self, Base};
use crate::problem::ApiError;
use crate::query::{Query, malformed};
use crate::reply;

/// Predictions on a page, as at Replicate.
const PAGE: usize = 100;

/// `GET /v1/predictions`: those of this door, the newest first, without what they were given and gave.
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller<Read>,
    base: Base,
    query: Query,
) -> Result<Response, ApiError> {
    let after = query.get::<String>("cursor", "the `next` of the page before")?;
    let wrong = || malformed("the query parameter \"cursor\" should be the `next` of the page before".to_owned());
    let after: Option<JobId> = after.map(|id| dialect::job_of("", &id).ok_or_else(wrong)).transpose()?;
    let filter = Filter {
        tenant: caller.sees().cloned(),
        kind: Some(KIND.parse().expect("a constant name")),
        labels: vec![("door".to_owned(), DOOR.to_owned())],
        before: after.map(|job| job.key()),
        ..Filter::default()
    };
    let (jobs, has_more) = dialect::page(&api, filter, PAGE).await?;
    let last = jobs.last().filter(|_| has_more);
    let next = last.map(|job| format!("{}/replicate/v1/predictions?cursor={}", base.0, dialect::hex(job.id)));
    let results: Vec<_> = jobs.iter().map(|job| prediction::of(&api, job, &Json::null(), &base)).collect();
    Ok(reply::json(StatusCode::OK, &json!({ "previous": null, "next": next, "results": results })))
}
