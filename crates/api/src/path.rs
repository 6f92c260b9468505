use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use raincheck_blob::FileId;
use raincheck_core::{Job, JobId, ProblemType, QueueName};

use crate::problem::ApiError;

/// The job that a path names. Text that cannot be a job id names no job, like any other unknown one.
pub(crate) struct JobPath(pub(crate) JobId);

impl<S: Send + Sync> FromRequestParts<S> for JobPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Path(text) = Path::<String>::from_request_parts(parts, state).await.map_err(unreadable)?;
        text.parse().map(Self).map_err(|_| ApiError::no_such_job())
    }
}

/// A job that a path names, and the name of one of its files.
pub(crate) struct JobFilePath(pub(crate) JobId, pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for JobFilePath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Path((job, name)) = Path::<(String, String)>::from_request_parts(parts, state).await.map_err(unreadable)?;
        let job = job.parse().map_err(|_| ApiError::no_such_job())?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        if name.starts_with('.') || !name.bytes().all(plain) {
            return Err(ApiError::new(ProblemType::NOT_FOUND, "no job leaves a file of such a name"));
        }
        Ok(Self(job, name))
    }
}

/// The file that a path names. Text that cannot be the id of one names none, like any other unknown one.
pub(crate) struct FilePath(pub(crate) FileId);

impl<S: Send + Sync> FromRequestParts<S> for FilePath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Path(text) = Path::<String>::from_request_parts(parts, state).await.map_err(unreadable)?;
        let no_file =
            |_| ApiError::new(ProblemType::NOT_FOUND, "there is no such file: an id is file- and 32 hex digits");
        text.parse().map(Self).map_err(no_file)
    }
}

/// The queue that a path names.
pub(crate) struct QueuePath(pub(crate) QueueName);

impl<S: Send + Sync> FromRequestParts<S> for QueuePath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Path(text) = Path::<String>::from_request_parts(parts, state).await.map_err(unreadable)?;
        let no_queue = |error| ApiError::new(ProblemType::NOT_FOUND, format!("no queue can have this name: {error}"));
        text.parse().map(Self).map_err(no_queue)
    }
}

/// Whether a job is of this kind: at a door that makes only such, others are none.
pub(crate) fn is_kind(job: &Job, kind: &str) -> bool {
    job.spec.kind.as_str() == kind
}

fn unreadable(_: PathRejection) -> ApiError {
    ApiError::new(ProblemType::MALFORMED_REQUEST, "the path is not percent-encoded UTF-8")
}
