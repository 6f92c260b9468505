use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderName, Uri};
use raincheck_core::{JobId, ProblemType};

use super::no_such_request;
use crate::api::Api;
use crate::dialect::job_of;
use crate::problem::ApiError;
use crate::query::Query;

/// Where this door is.
pub(super) const PREFIX: &str = "/fal";
/// By which FAL's JavaScript client tells a proxy what it would have called.
const TARGET_URL: HeaderName = HeaderName::from_static("x-fal-target-url");
/// The host of FAL's queue, as that client names it.
const QUEUE_HOST: &str = "queue.fal.run";
/// The host of FAL's synchronous calls.
const RUN_HOST: &str = "fal.run";
/// What comes before the endpoint of a synchronous call, for clients that call this server by its own name.
const RUN: &str = "run/";
/// The longest name of an endpoint, in bytes.
const ENDPOINT_MAX: usize = 200;

/// What a request is about: by its path, or by the address that a client tells its proxy.
pub(super) struct Target {
    pub(super) wanted: Wanted,
    pub(super) query: Query,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// A call of an endpoint, `owner/app` or more.
    Endpoint {
        endpoint: String,
        /// Whether its result is waited for.
        is_sync: bool,
    },
    /// An earlier request.
    Request {
        /// The endpoint that the path names.
        app: String,
        job: JobId,
        /// What of it: empty for its result, or what follows its id.
        what: String,
    },
}

impl FromRequestParts<Arc<Api>> for Target {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Api>) -> Result<Self, ApiError> {
        let Some(target) = parts.headers.get(TARGET_URL) else {
            let path = parts.uri.path().strip_prefix(PREFIX).unwrap_or_default();
            let (path, is_sync) = match path.strip_prefix('/').unwrap_or(path) {
                path if path.starts_with(RUN) => (&path[RUN.len()..], true),
                path => (path, false),
            };
            let wanted = wanted(path, is_sync)?;
            return Ok(Self { wanted, query: Query::parse(parts.uri.query().unwrap_or_default())? });
        };
        let uri: Option<Uri> = target.to_str().ok().and_then(|text| text.parse().ok());
        let uri = uri.ok_or_else(elsewhere)?;
        let is_sync = match uri.host() {
            Some(QUEUE_HOST) => false,
            Some(RUN_HOST) => true,
            _ => return Err(elsewhere()),
        };
        let wanted = wanted(uri.path().trim_start_matches('/'), is_sync)?;
        Ok(Self { wanted, query: Query::parse(uri.query().unwrap_or_default())? })
    }
}

fn wanted(path: &str, is_sync: bool) -> Result<Wanted, ApiError> {
    if let Some((app, rest)) = path.split_once("/requests/") {
        let (id, what) = rest.split_once('/').unwrap_or((rest, ""));
        let job = job_of("", id).ok_or_else(no_such_request)?;
        return Ok(Wanted::Request { app: endpoint(app)?, job, what: what.to_owned() });
    }
    Ok(Wanted::Endpoint { endpoint: endpoint(path)?, is_sync })
}

fn endpoint(path: &str) -> Result<String, ApiError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let part = |part: &str| !part.is_empty() && !part.starts_with('.') && part.bytes().all(plain);
    let good = path.len() <= ENDPOINT_MAX && path.contains('/') && path.split('/').all(part);
    if good { Ok(path.to_owned()) } else { Err(nothing_here()) }
}

/// The part of an endpoint by which clients ask for its requests: two parts, or three in a namespace.
pub(super) fn app_of(endpoint: &str) -> String {
    let parts: Vec<&str> = endpoint.split('/').collect();
    let named = if ["workflows", "comfy"].contains(&parts[0]) { 3 } else { 2 };
    parts[..named.min(parts.len())].join("/")
}

pub(super) fn nothing_here() -> ApiError {
    let detail =
        "there is nothing at this path; POST /fal/{owner}/{app} accepts a request, whose answer names the rest";
    ApiError::new(ProblemType::NOT_FOUND, detail)
}

fn elsewhere() -> ApiError {
    let detail = "x-fal-target-url should be an address of queue.fal.run or fal.run; files are not stored here, so give \
                  their addresses in the input";
    ApiError::new(ProblemType::NOT_FOUND, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_asked_for_by_the_app() {
        assert_eq!(app_of("fal-ai/flux/dev"), "fal-ai/flux");
        assert_eq!(app_of("workflows/me/mine/run"), "workflows/me/mine");
        assert_eq!(app_of("comfy/me"), "comfy/me");
    }

    #[test]
    fn a_path_is_an_endpoint_or_a_request() {
        let endpoint = |text: &str| Wanted::Endpoint { endpoint: text.into(), is_sync: false };
        assert_eq!(wanted("fal-ai/flux/dev", false).unwrap(), endpoint("fal-ai/flux/dev"));
        let id = "019c5a3e-0f4b-7c3a-9d2b-1f6a0e8c7d11";
        let job = job_of("", id).unwrap();
        let request = |what: &str| Wanted::Request { app: "fal-ai/flux".into(), job, what: what.into() };
        for what in ["", "status", "status/stream", "cancel"] {
            let path = format!("fal-ai/flux/requests/{id}/{what}");
            assert_eq!(wanted(path.trim_end_matches('/'), false).unwrap(), request(what));
        }
        for path in ["", "flux", "a//b", "a/../b", "a/b/", "a/b%20c", "a/b/requests/7/status"] {
            assert!(wanted(path, false).is_err(), "{path}");
        }
    }
}
