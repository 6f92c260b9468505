//! The bytes of tenants' files: with a key, or by a link that is signed.

use std::io::{self, Cursor};
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use raincheck_blob::{About, FileId, UploadError};
use raincheck_core::{Picture, ProblemType, Tenant};
use tokio::io::AsyncReadExt;
use tokio_util::io::ReaderStream;

use crate::api::Api;
use crate::auth::{Caller, Read};
use crate::links::BadLink;
use crate::openai;
use crate::path::FilePath;
use crate::problem::ApiError;
use crate::query::{Query, malformed};

/// How much of a file is read at once.
const CHUNK: usize = 64 * 1024;
/// Nothing of a file is run, whatever it is and wherever a browser shows it.
const POLICY: &str = "default-src 'none'; sandbox";
/// What in a name must not stand in a header as it is (RFC 8187).
const NOT_IN_NAME: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'%')
    .add(b'\'')
    .add(b'(')
    .add(b')')
    .add(b'*')
    .add(b',')
    .add(b'/')
    .add(b':')
    .add(b';')
    .add(b'<')
    .add(b'=')
    .add(b'>')
    .add(b'?')
    .add(b'@')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'{')
    .add(b'}');

/// `GET /v1/files/{id}/content`: a file of the caller's tenant.
pub(crate) async fn content(
    State(api): State<Arc<Api>>,
    caller: Caller<Read>,
    FilePath(id): FilePath,
    query: Query,
) -> Result<Response, ApiError> {
    query.only(&[])?;
    told(&api, &*found(&api, &caller.tenant, &id)?).await
}

/// `GET /files/{id}`: a file by a signed link, which says whose it is and until when it is good.
pub(crate) async fn linked(
    State(api): State<Arc<Api>>,
    FilePath(id): FilePath,
    query: Query,
) -> Result<Response, ApiError> {
    query.only(&["tenant", "expires", "signature"])?;
    let missing = || malformed("a link to a file says tenant, expires and signature".to_owned());
    let tenant: Tenant = query.get("tenant", "the name of a tenant")?.ok_or_else(missing)?;
    let expires: i64 = query.get("expires", "a time, in seconds since 1970")?.ok_or_else(missing)?;
    let signature: String = query.get("signature", "a signature")?.ok_or_else(missing)?;
    let links = api.settings.links.as_ref().ok_or_else(no_such_file)?;
    let now = api.engine.clock().now();
    links.check(&tenant, &id, expires, &signature, now).map_err(|bad| {
        let detail = match bad {
            BadLink::Expired => "the link has expired; ask for a new one where you had it from",
            BadLink::Forged => "the link is not one of this server's: its signature does not fit",
        };
        ApiError::new(ProblemType::FORBIDDEN, detail)
    })?;
    let mut response = told(&api, &*found(&api, &tenant, &id)?).await?;
    // A file never changes. Its link has no key, so a copy may be kept as long as it may be asked for.
    let left = expires - now.as_millis().div_euclid(1_000);
    if let Ok(value) = HeaderValue::try_from(format!("private, max-age={left}, immutable")) {
        response.headers_mut().insert(CACHE_CONTROL, value);
    }
    Ok(response)
}

/// A file of the tenant. Of another tenant's it is said that there is none.
fn found(api: &Api, tenant: &Tenant, id: &FileId) -> Result<Arc<About>, ApiError> {
    let blobs = api.settings.doors.files.as_ref().ok_or_else(no_such_file)?;
    let is_shown = |file: &Arc<About>| !file.is_hidden() && !file.is_expired(api.engine.clock().now());
    blobs.get(tenant, id).filter(is_shown).ok_or_else(no_such_file)
}

fn no_such_file() -> ApiError {
    ApiError::new(ProblemType::NOT_FOUND, "there is no such file; what was deleted or has expired is gone")
}

/// The bytes: pictures as such, everything else to be saved.
async fn told(api: &Api, file: &About) -> Result<Response, ApiError> {
    let blobs = api.settings.doors.files.as_ref().ok_or_else(no_such_file)?;
    let unread = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => no_such_file(),
        io::ErrorKind::NotConnected => openai::refused(UploadError::Io(error)),
        _ => {
            tracing::error!(%error, file = %file.id, "a file cannot be read");
            ApiError::new(ProblemType::INTERNAL, "the file cannot be read; the server's log says more")
        }
    };
    let mut content = blobs.read(file).await.map_err(unread)?;
    let mut head = Vec::with_capacity(Picture::HEAD);
    (&mut content).take(Picture::HEAD as u64).read_to_end(&mut head).await.map_err(unread)?;
    let picture = Picture::of_bytes(&head);
    let mut headers = HeaderMap::new();
    let media_type = picture.map_or("application/octet-stream", Picture::media_type);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(file.bytes));
    headers.insert(CONTENT_DISPOSITION, disposition(&file.filename, picture.is_some()));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    let whole = Cursor::new(head).chain(content);
    Ok((StatusCode::OK, headers, Body::from_stream(ReaderStream::with_capacity(whole, CHUNK))).into_response())
}

/// Whether it is shown or saved, and under what name.
fn disposition(filename: &str, is_shown: bool) -> HeaderValue {
    let how = if is_shown { "inline" } else { "attachment" };
    let name = utf8_percent_encode(filename, NOT_IN_NAME);
    HeaderValue::try_from(format!("{how}; filename*=UTF-8''{name}")).unwrap_or(HeaderValue::from_static("attachment"))
}
