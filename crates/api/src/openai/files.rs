//! Files: what batches read, and what they leave.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use raincheck_blob::{About, Blobs, FileId, UploadError, Wanted};
use raincheck_core::{Json, ProblemType, Tenant, Time};
use raincheck_store::StoreError;
use serde_json::{Value, json};
use tokio_util::io::ReaderStream;

use super::expiry::ExpiresAfter;
use super::page::{self, Page};
use crate::api::Api;
use crate::auth::{Caller, Read, Submit};
use crate::dialect::invalid;
use crate::multipart::Multipart;
use crate::problem::ApiError;
use crate::query::Query;
use crate::reply;

/// The largest file, in bytes: as much as OpenAI takes.
pub(super) const BYTES_MAX: u64 = 512 << 20;
/// A file's name and purpose, in bytes.
pub(super) const NAME_MAX: usize = 512;
const PURPOSE_MAX: usize = 64;
/// What OpenAI takes files for.
const PURPOSES: [&str; 6] = ["assistants", "batch", "evals", "fine-tune", "user_data", "vision"];
/// Files on a page, unless asked otherwise, and at most.
const PAGE_MAX: usize = 10_000;
/// When to come back to a bucket that does not answer.
const UNREACHABLE_RETRY_AFTER: Duration = Duration::from_secs(10);
/// How much of a file is read at once.
const CHUNK: usize = 64 * 1024;

/// `POST /openai/v1/files`: takes a file. It goes to the disk as it comes, and is there whole or not at all.
pub(crate) async fn upload(
    State(api): State<Arc<Api>>,
    caller: Caller<Submit>,
    request: Request,
) -> Result<Response, ApiError> {
    let blobs = blobs(&api)?;
    let (parts, body) = request.into_parts();
    let mut form = form(&api, &parts.headers, body, "file")?;
    let now = api.engine.clock().now();
    let (mut purpose, mut upload, mut filename) = (None, None, String::new());
    let mut expiry: Option<ExpiresAfter> = None;
    while let Some(part) = form.part().await? {
        match part.name.as_str() {
            "purpose" => purpose = Some(form.text(PURPOSE_MAX).await?),
            "file" if upload.is_none() => {
                // SDKs tell a file that is none in this way.
                let mut is_none = part.filename.is_none();
                filename = part.filename.filter(|name| name.len() <= NAME_MAX).unwrap_or_else(|| "upload".to_owned());
                let (filename, purpose) = (String::new(), String::new());
                let (id, tenant) = (FileId::new(now, api.engine.random()), caller.tenant.clone());
                let wanted = Wanted { id, tenant, filename, purpose, created_at: now };
                let mut file = blobs.begin(wanted, BYTES_MAX).await.map_err(refused)?;
                while let Some(piece) = form.piece().await? {
                    is_none = false;
                    file.write(&piece).await.map_err(refused)?;
                }
                upload = (!is_none).then_some(file);
            }
            "file" => return Err(invalid("file", "one file at a time")),
            "expires_after[anchor]" => {
                expiry.get_or_insert_default().anchor = form.text(PURPOSE_MAX).await?;
            }
            "expires_after[seconds]" => {
                let seconds = form.text(PURPOSE_MAX).await?.parse();
                expiry.get_or_insert_default().seconds = seconds.unwrap_or_default();
            }
            other => return Err(invalid(other, "there are the parts purpose, file and expires_after")),
        }
    }
    let mut file = upload.ok_or_else(|| no_bytes("file"))?;
    let purpose = purpose.unwrap_or_default();
    check_purpose(&purpose)?;
    file.describe(filename, purpose);
    if let Some(expiry) = expiry {
        file.expire_at(now.after(expiry.checked("expires_after")?));
    }
    let about = file.finish().await.map_err(refused)?;
    Ok(reply::json(StatusCode::OK, &object(&about)))
}

/// A body of parts. Whoever sends another has sent none of the bytes that belong into this part.
pub(super) fn form(api: &Arc<Api>, headers: &HeaderMap, body: Body, part: &str) -> Result<Multipart, ApiError> {
    Multipart::new(api, headers, body).map_err(|_| no_bytes(part))
}

pub(super) fn no_bytes(part: &str) -> ApiError {
    invalid(part, format!("send the bytes in the part {part} of a body of multipart/form-data"))
}

/// Refuses what OpenAI takes no files for.
pub(super) fn check_purpose(purpose: &str) -> Result<(), ApiError> {
    if PURPOSES.contains(&purpose) {
        return Ok(());
    }
    Err(invalid("purpose", format!("say what the file is for: {purpose:?} is none of {}", PURPOSES.join(", "))))
}

/// `GET /openai/v1/files`.
pub(crate) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller<Read>,
    query: Query,
) -> Result<Response, ApiError> {
    let wanted = page::Wanted::of(&query, PAGE_MAX, PAGE_MAX)?;
    let purpose: Option<String> = query.get("purpose", "a word")?;
    let files = blobs(&api)?.list(&caller.tenant);
    let now = api.engine.clock().now();
    let is_wanted = |file: &&Arc<About>| purpose.as_ref().is_none_or(|purpose| file.purpose == *purpose);
    let files = files.iter().filter(|file| is_shown(file, now)).filter(is_wanted);
    let items = files.map(|file| (file.id.to_string(), Json::from(object(file)))).collect();
    Ok(Page::of(items, &wanted).reply())
}

/// `GET /openai/v1/files/{id}`.
pub(crate) async fn retrieve(
    State(api): State<Arc<Api>>,
    caller: Caller<Read>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    Ok(reply::json(StatusCode::OK, &object(&*found(&api, &caller.tenant, &id)?)))
}

/// `DELETE /openai/v1/files/{id}`.
pub(crate) async fn delete(
    State(api): State<Arc<Api>>,
    caller: Caller<Submit>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let about = found(&api, &caller.tenant, &id)?;
    if !blobs(&api)?.remove(&caller.tenant, &about.id).await.map_err(broken)? {
        return Err(no_such_file(&id));
    }
    Ok(reply::json(StatusCode::OK, &json!({ "id": id, "object": "file", "deleted": true })))
}

/// `GET /openai/v1/files/{id}/content`: the bytes, as they came; or where they are, under an address that is made anew each time.
pub(crate) async fn content(
    State(api): State<Arc<Api>>,
    caller: Caller<Read>,
    method: Method,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let about = found(&api, &caller.tenant, &id)?;
    let blobs = blobs(&api)?;
    // A link is signed for one method, so that a HEAD would be refused there.
    if let Some(expires) = api.settings.doors.link_lifetime.filter(|_| method == Method::GET)
        && let Some(link) = blobs.link(&about, expires).await.map_err(broken)?
        && let Ok(link) = HeaderValue::try_from(link)
    {
        let headers = [(LOCATION, link), (CACHE_CONTROL, HeaderValue::from_static("no-store"))];
        return Ok((StatusCode::FOUND, headers).into_response());
    }
    let file = blobs.read(&about).await.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => no_such_file(&id),
        _ => broken(error),
    })?;
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("application/octet-stream")),
        (CONTENT_LENGTH, HeaderValue::from(about.bytes)),
        (CONTENT_DISPOSITION, HeaderValue::from_static("attachment")),
        // What somebody uploaded is no page of ours, even in a browser that shows it in spite of the line above.
        (CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox")),
    ];
    Ok((StatusCode::OK, headers, Body::from_stream(ReaderStream::with_capacity(file, CHUNK))).into_response())
}

/// Where files are kept.
pub(super) fn blobs(api: &Api) -> Result<&Blobs, ApiError> {
    let detail = "this server keeps no files";
    api.settings.doors.files.as_ref().ok_or_else(|| ApiError::new(ProblemType::NOT_FOUND, detail))
}

/// A file of the tenant. Of another tenant's it is said that there is none.
pub(super) fn found(api: &Api, tenant: &Tenant, id: &str) -> Result<Arc<About>, ApiError> {
    let file = id.parse().ok();
    let file = match file {
        Some(file) => blobs(api)?.get(tenant, &file),
        None => None,
    };
    file.filter(|file| is_shown(file, api.engine.clock().now())).ok_or_else(|| no_such_file(id))
}

fn is_shown(file: &About, now: Time) -> bool {
    !file.is_hidden() && !file.is_expired(now)
}

fn no_such_file(id: &str) -> ApiError {
    ApiError::new(ProblemType::NOT_FOUND, format!("No such File object: {id}"))
}

pub(crate) fn refused(error: UploadError) -> ApiError {
    match error {
        UploadError::TooLarge(max) => {
            ApiError::new(ProblemType::BODY_TOO_LARGE, format!("a file may have {max} bytes"))
        }
        UploadError::TooMany(max) => {
            ApiError::new(ProblemType::INVALID_REQUEST, format!("you may have {max} files; delete some"))
        }
        UploadError::NoRoom(max) => {
            let detail = format!(
                "the bucket of the files takes none just now, and as much waits for it as may: {max} bytes; the same \
                 request works when it does"
            );
            ApiError::new(ProblemType::STORAGE_FULL, detail)
        }
        UploadError::Io(error) if error.kind() == io::ErrorKind::StorageFull => StoreError::Full.into(),
        UploadError::Io(error) if error.kind() == io::ErrorKind::NotConnected => {
            tracing::warn!(%error, "a file cannot be read from its bucket");
            let detail = "the bucket of the files does not answer; come back after Retry-After";
            ApiError::new(ProblemType::FILES_UNREACHABLE, detail).retry_after(UNREACHABLE_RETRY_AFTER)
        }
        UploadError::Io(error) | UploadError::Source(error) => {
            tracing::error!(%error, "a file could not be kept");
            ApiError::new(ProblemType::INTERNAL, "the file could not be kept; the server's log says more")
        }
    }
}

/// A file that cannot be read or removed.
pub(super) fn broken(error: io::Error) -> ApiError {
    refused(UploadError::Io(error))
}

pub(super) fn object(about: &About) -> Value {
    json!({
        "id": about.id,
        "object": "file",
        "bytes": about.bytes,
        "created_at": about.created_at.as_millis().div_euclid(1_000),
        "expires_at": about.expires_at.map(|at| at.as_millis().div_euclid(1_000)),
        "filename": about.filename,
        "purpose": about.purpose,
        "status": "processed",
        "status_details": null,
    })
}
