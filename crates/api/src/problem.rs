use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use raincheck_core::{Class, JobId, Problem, ProblemType};
use raincheck_engine::SubmitError;
use raincheck_store::StoreError;
use schemars::JsonSchema;
use serde::Serialize;

use crate::NotPassed;
use crate::wait::{spread, whole_seconds};

/// The media type of problems (RFC 9457).
pub(crate) const PROBLEM_JSON: &str = "application/problem+json";
/// Nobody is told to come back later than this because the server has much to write.
const OVERLOADED_RETRY_AFTER_MAX: Duration = Duration::from_secs(60);
/// When to come back where nothing is known of how long something is not to be had.
const UNAVAILABLE_RETRY_AFTER: Duration = Duration::from_secs(5);
/// When to come back to a server that is stopping: by then another has taken over, or it has started again.
const STOPPING_RETRY_AFTER: Duration = Duration::from_secs(5);

/// What became of what a request asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// It was done, or is durably on its way: the problem is that of the job.
    Accepted,
    /// It was surely not done.
    Rejected,
    /// It may or may not have been done.
    Unknown,
}

/// A problem on its way to a client, as a response of RFC 9457. Boxed, because results are mostly good.
#[derive(Clone, Debug)]
pub struct ApiError(Box<Told>);

#[derive(Clone, Debug)]
struct Told {
    problem: Problem,
    status: StatusCode,
    outcome: Outcome,
    retry_after: Option<Duration>,
    /// The wait is an upstream's own word, and is told as it was said.
    is_exact: bool,
    /// Headers of an upstream's that are given back.
    headers: HeaderMap,
    job: Option<JobId>,
    /// The path under which the job is found.
    path: String,
}

impl Told {
    fn new(problem: Problem, status: StatusCode, outcome: Outcome) -> Self {
        Self {
            problem,
            status,
            outcome,
            retry_after: None,
            is_exact: false,
            headers: HeaderMap::new(),
            job: None,
            path: String::new(),
        }
    }
}

/// A problem as JSON (RFC 9457).
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Problem")]
pub(crate) struct ProblemBody<'a> {
    /// Stable name of the sort of problem: a URN. docs/problems has a page for each.
    #[serde(rename = "type")]
    type_uri: &'a str,
    /// The sort of problem in a few words.
    title: &'a str,
    /// The status of the response.
    status: u16,
    /// What was wrong this time, and how to mend it.
    detail: &'a str,
    /// Where in the request body: a JSON pointer (RFC 6901).
    #[serde(skip_serializing_if = "Option::is_none")]
    pointer: Option<&'a str>,
    /// The status that an upstream answered, if the problem is its answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream_status: Option<u16>,
    /// What an upstream answered, as it came, if that was JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Value>")]
    upstream_error: Option<&'a raincheck_core::Json>,
    /// The job it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<String>,
    /// What became of what the request asked for.
    outcome: Outcome,
}

/// The one table from classes of problems to status codes.
pub(crate) fn status(class: Class) -> StatusCode {
    match class {
        Class::Malformed => StatusCode::BAD_REQUEST,
        Class::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
        Class::Unauthenticated => StatusCode::UNAUTHORIZED,
        Class::Forbidden => StatusCode::FORBIDDEN,
        Class::NotFound => StatusCode::NOT_FOUND,
        Class::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        Class::Gone => StatusCode::GONE,
        Class::Conflict => StatusCode::CONFLICT,
        Class::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Class::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        Class::UnsupportedMedia => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Class::TooSlow => StatusCode::REQUEST_TIMEOUT,
        Class::Throttled => StatusCode::TOO_MANY_REQUESTS,
        Class::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Class::StorageFull => StatusCode::INSUFFICIENT_STORAGE,
        Class::Failed => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl ApiError {
    /// A problem of this type; `detail` says what was wrong this time and how to mend it.
    pub(crate) fn new(problem_type: ProblemType, detail: impl Into<String>) -> Self {
        Problem::new(problem_type, detail).into()
    }

    /// There is no such job for the caller; see [`Self::no_such`].
    pub(crate) fn no_such_job() -> Self {
        Self::no_such("job")
    }

    /// There is no such job for the caller, in the word by which the caller's dialect knows jobs. Says nothing of the id, so
    /// that no answer tells an unknown job from another tenant's.
    pub(crate) fn no_such(word: &str) -> Self {
        let detail = format!(
            "there is no such {word}, or it is not yours; a {word} that has ended is forgotten after its retention"
        );
        Self::new(ProblemType::NOT_FOUND, detail)
    }

    /// The problem that a job ended with, told to somebody who asked for its result. `failed dependency` rather than a
    /// server error: nothing is wrong with the server, and asking again will not help.
    pub(crate) fn of_job(job: JobId, problem: Problem) -> Self {
        let status = if problem.class == Class::Gone { StatusCode::GONE } else { StatusCode::FAILED_DEPENDENCY };
        let told = Told::new(problem, status, Outcome::Accepted);
        Self(Box::new(Told { job: Some(job), ..told }))
    }

    /// As told where the routes are under a path.
    pub(crate) fn under(mut self, path: &str) -> Self {
        path.clone_into(&mut self.0.path);
        self
    }

    /// With headers of an upstream's.
    pub(crate) fn with_headers(mut self, headers: HeaderMap) -> Self {
        self.0.headers = headers;
        self
    }

    /// Says when to come back.
    pub(crate) fn retry_after(mut self, wait: Duration) -> Self {
        self.0.retry_after = Some(wait);
        self
    }

    /// The problem belongs to entry `number` of a batch.
    pub(crate) fn of_entry(self, number: usize) -> Self {
        self.within(&format!("/jobs/{number}"))
    }

    /// The problem belongs to the part of the request that is at this pointer.
    pub(crate) fn within(mut self, part: &str) -> Self {
        if let Some(pointer) = &mut self.0.problem.pointer {
            *pointer = format!("{part}{pointer}").into_boxed_str();
        }
        self
    }

    /// What went wrong.
    pub(crate) fn problem(&self) -> &Problem {
        &self.0.problem
    }

    /// The status of the answer.
    pub(crate) fn status(&self) -> StatusCode {
        self.0.status
    }

    /// When to come back, if that helps.
    pub(crate) fn wait(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// A whole answer of HTTP/1.1 that ends its connection, for clients whose request cannot be read.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let body = serde_json::to_vec(&self.body()).unwrap_or_default();
        let wait = self.0.retry_after.map(|wait| format!("retry-after: {}\r\n", wait.as_secs())).unwrap_or_default();
        let head = format!(
            "HTTP/1.1 {}\r\ncontent-type: {PROBLEM_JSON}\r\ncontent-length: {}\r\n{wait}connection: close\r\n\r\n",
            self.0.status,
            body.len()
        );
        [head.into_bytes(), body].concat()
    }

    /// Whether [`Self::wait`] is what an upstream said itself.
    pub(crate) fn is_exact(&self) -> bool {
        self.0.is_exact
    }

    /// As it is told to a client.
    pub(crate) fn body(&self) -> ProblemBody<'_> {
        let Told { problem, status, outcome, job, path, .. } = &*self.0;
        ProblemBody {
            type_uri: &problem.type_uri,
            title: &problem.title,
            status: status.as_u16(),
            detail: &problem.detail,
            pointer: problem.pointer.as_deref(),
            upstream_status: problem.upstream_status,
            upstream_error: problem.upstream_error.as_deref(),
            instance: job.map(|job| format!("{path}/v1/jobs/{job}")),
            outcome: *outcome,
        }
    }
}

impl From<Problem> for ApiError {
    fn from(problem: Problem) -> Self {
        let (status, outcome) = (status(problem.class), Outcome::Rejected);
        let retry_after = (problem.class == Class::Unavailable).then_some(UNAVAILABLE_RETRY_AFTER);
        Self(Box::new(Told { retry_after, ..Told::new(problem, status, outcome) }))
    }
}

impl From<NotPassed> for ApiError {
    fn from(failure: NotPassed) -> Self {
        let is_exact = failure.problem.upstream_status.is_some();
        let mut error = Self::from(failure.problem);
        error.0.retry_after = failure.retry_after.or(error.0.retry_after);
        error.0.is_exact = is_exact;
        error
    }
}

impl From<StoreError> for ApiError {
    /// What a store says of itself is for the operator's log; the client learns what it means for the request.
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Overloaded(wait) => {
                let detail = "more is being asked than the store can take just now; come back after Retry-After";
                Self::new(ProblemType::OVERLOADED, detail).retry_after(wait.min(OVERLOADED_RETRY_AFTER_MAX))
            }
            StoreError::Stopped => {
                let detail = "the server is about to stop; come back after Retry-After";
                Self::new(ProblemType::SHUTTING_DOWN, detail).retry_after(STOPPING_RETRY_AFTER)
            }
            StoreError::Full => {
                let detail =
                    "the disk of the server is full; its operator has to make room, then the same request works";
                Self::new(ProblemType::STORAGE_FULL, detail)
            }
            StoreError::Unknown(cause) => {
                tracing::error!(%cause, "a write failed in a way that leaves open whether it happened");
                let detail = "a write failed, and whether it happened is unknown; repeat the request with the same \
                              Idempotency-Key, which gives the same job if it was accepted";
                let mut error = Self::new(ProblemType::OUTCOME_UNKNOWN, detail);
                error.0.outcome = Outcome::Unknown;
                error
            }
            StoreError::Unreadable(cause) => {
                tracing::error!(%cause, "the store could not be read");
                Self::new(ProblemType::INTERNAL, "what is stored could not be read; the server's log says more")
            }
        }
    }
}

impl From<SubmitError> for ApiError {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::Refused(problem) => problem.into(),
            SubmitError::Store(error) => error.into(),
            SubmitError::Quota { waiting, limit, retry_after } => {
                let detail = format!("{waiting} jobs are waiting, and {limit} may; come back after Retry-After");
                Self::new(ProblemType::QUOTA_REACHED, detail).retry_after(retry_after)
            }
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self.body()).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.0.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        if let Some(wait) = self.0.retry_after {
            let seconds = if self.0.is_exact { whole_seconds(wait) } else { spread(wait) };
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        headers.extend(self.0.headers.clone());
        if self.0.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        // For the doors that tell it in other words.
        response.extensions_mut().insert(self);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_that_could_not_be_checked_in_time_may_come_again() {
        let problem = Problem::new(ProblemType::OVERLOADED, "the input could not be checked within 5 s");
        let error = ApiError::from(SubmitError::Refused(problem));
        assert_eq!((error.0.status, error.0.outcome), (StatusCode::SERVICE_UNAVAILABLE, Outcome::Rejected));
        assert_eq!(error.wait(), Some(UNAVAILABLE_RETRY_AFTER));
    }

    #[test]
    fn only_an_unknown_outcome_is_told_as_one() {
        let outcome = |error: StoreError| ApiError::from(error).0.outcome;
        assert_eq!(outcome(StoreError::Unknown("EIO".into())), Outcome::Unknown);
        for error in [StoreError::OVERLOADED, StoreError::Full, StoreError::Stopped] {
            assert_eq!(outcome(error), Outcome::Rejected);
        }
    }

    #[test]
    fn nothing_internal_is_told() {
        for error in [StoreError::Unknown("/secret/path".into()), StoreError::Unreadable("/secret/path".into())] {
            let body = serde_json::to_string(&ApiError::from(error).body()).unwrap();
            assert!(!body.contains("secret"), "{body}");
        }
    }
}
