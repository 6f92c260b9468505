use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use raincheck_core::{JobKey, ProblemType, Tenant};
use raincheck_store::Filter;
use schemars::JsonSchema;
use serde::Serialize;

use super::JobView;
use crate::api::Api;
use crate::auth::{Caller, Read};
use crate::problem::ApiError;
use crate::query::{Query, malformed};
use crate::reply;

/// Jobs on a page, unless asked otherwise.
const PAGE_DEFAULT: usize = 50;
const PARAMETERS: &[&str] = &["state", "kind", "queue", "tenant", "label", "cursor", "limit"];
const A_NAME: &str = "1 to 64 of a-z A-Z 0-9 . _ - beginning with a letter or digit";

/// A page of jobs.
#[derive(Serialize, JsonSchema)]
pub(crate) struct JobsPage<'a> {
    /// Newest first, without results and errors. A page may be short, even empty, and still have a next one.
    jobs: Vec<JobView<'a>>,
    /// What to give as `cursor` for the next page; left out at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// `GET /v1/jobs`: jobs, newest first.
pub(crate) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller<Read>,
    query: Query,
) -> Result<Response, ApiError> {
    query.only(PARAMETERS)?;
    let limit = query.limit(PAGE_DEFAULT, api.settings.page_max)?;
    let now = api.engine.clock().now();
    let page = api.engine.store().list(filter(&query, &caller)?, limit, now).await?;
    let jobs = page.jobs.iter().map(|job| JobView::without_place(job, now, &api.settings.path)).collect();
    Ok(reply::json(StatusCode::OK, &JobsPage { jobs, next: page.next.map(cursor) }))
}

fn filter(query: &Query, caller: &Caller<Read>) -> Result<Filter, ApiError> {
    let label = |text: &str| {
        let (name, value) = text
            .split_once(':')
            .filter(|(name, _)| !name.is_empty())
            .ok_or_else(|| malformed("the query parameter \"label\" should be name:value".to_owned()))?;
        Ok((name.to_owned(), value.to_owned()))
    };
    Ok(Filter {
        tenant: tenant(query, caller)?,
        state: query.get("state", "scheduled, queued, running, waiting, completed, failed, cancelled or expired")?,
        kind: query.get("kind", A_NAME)?,
        queue: query.get("queue", A_NAME)?,
        labels: query.all("label").map(label).collect::<Result<_, ApiError>>()?,
        before: query.get::<Cursor>("cursor", "the `next` of the page before")?.map(|Cursor(key)| key),
    })
}

/// Whose jobs are listed: an admin may choose, everybody else sees their own.
fn tenant(query: &Query, caller: &Caller<Read>) -> Result<Option<Tenant>, ApiError> {
    let asked: Option<Tenant> = query.get("tenant", A_NAME)?;
    match (asked, caller.sees()) {
        (asked, None) => Ok(asked),
        (None, Some(own)) => Ok(Some(own.clone())),
        (Some(asked), Some(own)) if asked == *own => Ok(Some(asked)),
        (Some(_), Some(_)) => {
            let detail = "jobs of another tenant can only be listed with the scope `admin`";
            Err(ApiError::new(ProblemType::FORBIDDEN, detail))
        }
    }
}

/// A place in the list, as clients hand it back. What it looks like is nobody's business.
pub(crate) struct Cursor(pub(crate) JobKey);

/// The cursor of this place.
pub(crate) fn cursor(key: JobKey) -> String {
    format!("c{:x}", key.as_i64())
}

impl std::str::FromStr for Cursor {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let digits = text.strip_prefix('c').filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let number = digits.and_then(|digits| i64::from_str_radix(digits, 16).ok());
        number.and_then(JobKey::from_i64).map(Self).ok_or(())
    }
}
