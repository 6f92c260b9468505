use axum::http::{HeaderMap, HeaderName, Method, header};
use axum::response::Response;
use raincheck_core::ProblemType;

use crate::Passed;
use crate::api::Api;
use crate::body::JsonBody;
use crate::dialect::{self, Addressed, Request, field, fields, invalid};
use crate::problem::ApiError;

/// The caller's headers that the upstream is sent. Its key is Raincheck's, and stays here.
const SENT_ON: [HeaderName; 4] = [
    header::ACCEPT,
    header::CONTENT_TYPE,
    HeaderName::from_static("anthropic-beta"),
    HeaderName::from_static("anthropic-version"),
];
/// The upstream's headers that the caller is given, besides those that begin like [`GIVEN_BACK_PREFIXES`]. Whose account it
/// is, is not told.
const GIVEN_BACK: [HeaderName; 6] = [
    header::CONTENT_TYPE,
    header::RETRY_AFTER,
    HeaderName::from_static("retry-after-ms"),
    HeaderName::from_static("request-id"),
    HeaderName::from_static("raincheck-served-by"),
    HeaderName::from_static("x-should-retry"),
];
const GIVEN_BACK_PREFIXES: [&str; 3] = ["anthropic-ratelimit-", "anthropic-priority-", "x-ratelimit-"];

/// Passes a call on to an upstream, and its answer back.
pub(super) async fn pass(
    api: &Api,
    path: &str,
    headers: &HeaderMap,
    body: &JsonBody,
    request: Request,
) -> Result<Response, ApiError> {
    let Some(passage) = &api.settings.doors.passage else {
        let detail = "no upstream is configured that messages could be passed on to; send `Prefer: respond-async` to have \
                      a job of kind llm.message done";
        return Err(ApiError::new(ProblemType::INVALID_REQUEST, detail));
    };
    let fields = fields(body)?;
    let model = field(&fields, "model", "the name of a model")?;
    let model = model.ok_or_else(|| invalid("model", "say which model"))?;
    let is_streamed = field(&fields, "stream", "true or false")?.unwrap_or(false);
    let Addressed { upstream, body } = Addressed::new(body, fields)?;
    let own_key = dialect::own_key(api, headers)?;
    let sent_on = |name: &HeaderName| headers.get(name).map(|value| (name.clone(), value.clone()));
    let call = Passed {
        protocol: "anthropic",
        model,
        upstream,
        own_key,
        method: Method::POST,
        path: path.to_owned(),
        headers: SENT_ON.iter().filter_map(sent_on).collect(),
        body,
        idempotency_key: String::new(),
    };
    dialect::pass(api, passage, call, is_streamed, request, is_given_back).await
}

fn is_given_back(name: &HeaderName) -> bool {
    GIVEN_BACK.contains(name) || GIVEN_BACK_PREFIXES.iter().any(|prefix| name.as_str().starts_with(prefix))
}
