use std::fs::Metadata;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
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
    let (file, about) = match open(&path).await {
        Ok((file, about)) if about.is_file() => (file, about),
        Ok(_) => return Err(no_such_file()),
        // A name that is too long for the file system is the client's.
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidFilename) => {
            return Err(no_such_file());
        }
        Err(error) => {
            tracing::error!(%error, path = %path.display(), "a job's file could not be opened");
            let detail = "the file could not be opened; the server's log says more";
            return Err(ApiError::new(ProblemType::INTERNAL, detail));
        }
    };
    let disposition = HeaderValue::try_from(format!("attachment; filename=\"{name}\"")).map_err(|_| no_such_file())?;
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static(media_type(&name))),
        (CONTENT_LENGTH, HeaderValue::from(about.len())),
        (CONTENT_DISPOSITION, disposition),
        // What a job wrote is no page of ours, even in a browser that shows it in spite of the line above.
        (CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox")),
    ];
    Ok((StatusCode::OK, headers, Body::from_stream(ReaderStream::with_capacity(file, CHUNK))).into_response())
}

async fn open(path: &Path) -> io::Result<(File, Metadata)> {
    let file = File::open(path).await?;
    let about = file.metadata().await?;
    Ok((file, about))
}

fn media_type(name: &str) -> &'static str {
    match Path::new(name).extension().and_then(|extension| extension.to_str()) {
        Some("jsonl") => "application/x-ndjson",
        Some("csv") => "text/csv",
        Some("gz") => "application/gzip",
        _ => "application/octet-stream",
    }
}
