use std::path::Path;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use raincheck_core::ProblemType;
use tokio::fs::File;
use tokio_util::io::ReaderStream;

use crate::api::Api;
use crate::auth::{Caller, Read};
use crate::path::JobFilePath;
use crate::problem::ApiError;
use crate::query::Query;

/// How much of a file is read at once.
const CHUNK: usize = 64 * 1024;

/// `GET /v1/jobs/{id}/files/{name}`: a file that the job left, because it is too large for a result.
pub(crate) async fn file(
    State(api): State<Arc<Api>>,
    caller: Caller<Read>,
    JobFilePath(id, name): JobFilePath,
    query: Query,
) -> Result<Response, ApiError> {
    query.only(&[])?;
    api.engine.get(id, caller.sees()).await?.ok_or_else(ApiError::no_such_job)?;
    let no_such_file =
        || ApiError::new(ProblemType::NOT_FOUND, "the job left no such file; its result names those it left");
    let directory = api.settings.files.as_ref().ok_or_else(no_such_file)?;
    // The name was read as a plain file name: it cannot lead out of the job's directory.
    let path = directory.join(id.to_string()).join(&name);
    let file = File::open(path).await.map_err(|_| no_such_file())?;
    let length = file.metadata().await.map_err(|_| no_such_file())?.len();
    let disposition = HeaderValue::try_from(format!("attachment; filename=\"{name}\"")).map_err(|_| no_such_file())?;
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static(media_type(&name))),
        (CONTENT_LENGTH, HeaderValue::from(length)),
        (CONTENT_DISPOSITION, disposition),
    ];
    Ok((StatusCode::OK, headers, Body::from_stream(ReaderStream::with_capacity(file, CHUNK))).into_response())
}

fn media_type(name: &str) -> &'static str {
    match Path::new(name).extension().and_then(|extension| extension.to_str()) {
        Some("jsonl") => "application/x-ndjson",
        Some("csv") => "text/csv",
        Some("gz") => "application/gzip",
        _ => "application/octet-stream",
    }
}
