//! Uploads: files that come in parts. What is known of an upload, and each of its parts, is a file of the tenant that nobody sees
//! and that is removed after an hour, so that an upload survives a restart and leaves nothing if it is given up.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use raincheck_blob::{About, Blobs, FileId, UploadError, Wanted};
use raincheck_core::{ProblemType, Tenant, Time};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;

use super::expiry::ExpiresAfter;
use super::files::{self, BYTES_MAX, NAME_MAX};
use crate::api::Api;
use crate::auth::{Caller, Submit};
use crate::body::JsonBody;
use crate::dialect::invalid;
use crate::problem::ApiError;
use crate::reply;

/// How long an upload may take, as at OpenAI.
const PENDING_MAX: Duration = Duration::from_secs(3_600);
/// The largest part, in bytes, as at OpenAI.
const PART_MAX: u64 = 64 << 20;
/// What an upload and its parts are for; see [`About::is_hidden`].
const UPLOAD: &str = ".upload";
const PART: &str = ".part";
/// What the note is for that says which file an upload has become.
const DONE: &str = ".done";
/// What their names begin with, in place of a file's.
const UPLOAD_PREFIX: &str = "upload_";
const PART_PREFIX: &str = "part_";
const FILE_PREFIX: &str = "file-";
/// How much is copied at once.
const CHUNK: usize = 64 * 1024;

/// What the file will be: the content of an upload's own file.
#[derive(Debug, Serialize, Deserialize)]
struct Intended {
    bytes: u64,
    filename: String,
    purpose: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_after: Option<ExpiresAfter>,
}

/// In which order the parts are put together.
#[derive(Debug, Deserialize)]
struct Completed {
    part_ids: Vec<String>,
    #[serde(default)]
    md5: Option<String>,
}

/// `POST /openai/v1/uploads`.
pub(crate) async fn create(
    State(api): State<Arc<Api>>,
    caller: Caller<Submit>,
    body: JsonBody,
) -> Result<Response, ApiError> {
    let intended: Intended = body.parse()?;
    if !(1..=BYTES_MAX).contains(&intended.bytes) {
        return Err(invalid("bytes", format!("a file has 1 to {BYTES_MAX} bytes")));
    }
    if intended.filename.is_empty() || intended.filename.len() > NAME_MAX {
        return Err(invalid("filename", format!("a file's name has 1 to {NAME_MAX} bytes")));
    }
    files::check_purpose(&intended.purpose)?;
    intended.expires_after.as_ref().map(|expiry| expiry.checked("expires_after")).transpose()?;
    let now = api.engine.clock().now();
    let wanted = Wanted {
        id: FileId::new(now, api.engine.random()),
        tenant: caller.tenant.clone(),
        filename: intended.filename.clone(),
        purpose: UPLOAD.to_owned(),
        created_at: now,
    };
    let mut file = files::blobs(&api)?.begin(wanted, u64::MAX).await.map_err(files::refused)?;
    file.write(&serde_json::to_vec(&intended).unwrap_or_default()).await.map_err(files::refused)?;
    file.expire_at(now.after(PENDING_MAX));
    let about = file.finish().await.map_err(files::refused)?;
    Ok(reply::json(StatusCode::OK, &object(&about, &intended, "pending", None)))
}

/// `POST /openai/v1/uploads/{id}/parts`: takes a part. It goes to the disk as it comes, and is there whole or not at all.
pub(crate) async fn add_part(
    State(api): State<Arc<Api>>,
    caller: Caller<Submit>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let blobs = files::blobs(&api)?;
    let (upload, intended) = open(&api, &caller.tenant, &id).await?;
    // One that an SDK has sent again counts twice.
    let there: u64 = belonging(blobs, &upload, PART).iter().map(|part| part.bytes).sum();
    let room = (2 * intended.bytes).saturating_sub(there);
    let (head, body) = request.into_parts();
    let mut form = files::form(&api, &head.headers, body, "data")?;
    let now = api.engine.clock().now();
    if let Some(part) = form.part().await? {
        if part.name != "data" {
            return Err(invalid(&part.name, "there is the part data"));
        }
        let wanted = Wanted {
            id: FileId::new(now, api.engine.random()),
            tenant: caller.tenant.clone(),
            filename: upload.id.to_string(),
            purpose: PART.to_owned(),
            created_at: now,
        };
        let too_large = |error| match error {
            UploadError::TooLarge(max) => {
                ApiError::new(ProblemType::BODY_TOO_LARGE, format!("a part may have {max} bytes here"))
            }
            error => files::refused(error),
        };
        let mut file = blobs.begin(wanted, PART_MAX.min(room)).await.map_err(files::refused)?;
        while let Some(piece) = form.piece().await? {
            file.write(&piece).await.map_err(too_large)?;
        }
        file.expire_at(upload.expires_at.unwrap_or(now));
        let id = named(PART_PREFIX, &file.finish().await.map_err(files::refused)?.id);
        let upload = named(UPLOAD_PREFIX, &upload.id);
        let part = json!({ "id": id, "object": "upload.part", "created_at": seconds(now), "upload_id": upload });
        return Ok(reply::json(StatusCode::OK, &part));
    }
    Err(files::no_bytes("data"))
}

/// `POST /openai/v1/uploads/{id}/complete`: makes a file of the parts. Asked again, gives the same file.
pub(crate) async fn complete(
    State(api): State<Arc<Api>>,
    caller: Caller<Submit>,
    Path(id): Path<String>,
    body: JsonBody,
) -> Result<Response, ApiError> {
    let completed: Completed = body.parse()?;
    drop(body);
    if completed.md5.is_some() {
        return Err(invalid("md5", "checksums are not compared here; leave md5 out"));
    }
    let (upload, intended) = found(&api, &caller.tenant, &id).await?;
    let blobs = files::blobs(&api)?;
    let file = match made(blobs, &upload).await? {
        Some(file) => files::found(&api, &caller.tenant, &file)?,
        None => {
            let parts = chosen(blobs, &upload, &intended, &completed.part_ids)?;
            put_together(&api, blobs, &upload, &intended, &parts).await?
        }
    };
    Ok(reply::json(StatusCode::OK, &object(&upload, &intended, "completed", Some(&file))))
}

/// `POST /openai/v1/uploads/{id}/cancel`: forgets an upload and its parts.
pub(crate) async fn cancel(
    State(api): State<Arc<Api>>,
    caller: Caller<Submit>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let (upload, intended) = open(&api, &caller.tenant, &id).await?;
    let blobs = files::blobs(&api)?;
    for file in belonging(blobs, &upload, PART).iter().chain([&upload]) {
        blobs.remove(&file.tenant, &file.id).await.map_err(files::broken)?;
    }
    Ok(reply::json(StatusCode::OK, &object(&upload, &intended, "cancelled", None)))
}

/// An upload of the tenant, whatever became of it.
async fn found(api: &Api, tenant: &Tenant, id: &str) -> Result<(Arc<About>, Intended), ApiError> {
    let missing = || ApiError::new(ProblemType::NOT_FOUND, format!("No such Upload object: {id}"));
    let blobs = files::blobs(api)?;
    let file = id.strip_prefix(UPLOAD_PREFIX).and_then(|digits| format!("{FILE_PREFIX}{digits}").parse().ok());
    let about = file.and_then(|file| blobs.get(tenant, &file)).filter(|about| about.purpose == UPLOAD);
    let about = about.filter(|about| !about.is_expired(api.engine.clock().now())).ok_or_else(missing)?;
    let intended = serde_json::from_slice(&read(blobs, &about).await?).map_err(|_| missing())?;
    Ok((about, intended))
}

/// An upload of the tenant that has not been completed.
async fn open(api: &Api, tenant: &Tenant, id: &str) -> Result<(Arc<About>, Intended), ApiError> {
    let (upload, intended) = found(api, tenant, id).await?;
    if made(files::blobs(api)?, &upload).await?.is_some() {
        return Err(ApiError::new(ProblemType::INVALID_REQUEST, format!("the Upload {id} is completed")));
    }
    Ok((upload, intended))
}

/// What belongs to an upload, and is for this.
fn belonging(blobs: &Blobs, upload: &About, purpose: &str) -> Vec<Arc<About>> {
    let is_its_own = |file: &Arc<About>| file.purpose == purpose && file.filename == upload.id.as_str();
    blobs.list(&upload.tenant).into_iter().filter(is_its_own).collect()
}

/// The file that an upload has become.
async fn made(blobs: &Blobs, upload: &About) -> Result<Option<String>, ApiError> {
    let Some(done) = belonging(blobs, upload, DONE).into_iter().next() else { return Ok(None) };
    Ok(String::from_utf8(read(blobs, &done).await?).ok())
}

/// The parts with these names, which together are what was intended.
fn chosen(
    blobs: &Blobs,
    upload: &About,
    intended: &Intended,
    part_ids: &[String],
) -> Result<Vec<Arc<About>>, ApiError> {
    let parts = belonging(blobs, upload, PART);
    let part = |id: &String| parts.iter().find(|part| named(PART_PREFIX, &part.id) == *id).cloned();
    let chosen: Option<Vec<Arc<About>>> = part_ids.iter().map(part).collect();
    let chosen = chosen.ok_or_else(|| invalid("part_ids", "one of these is no part of the upload"))?;
    let bytes: u64 = chosen.iter().map(|part| part.bytes).sum();
    if bytes != intended.bytes {
        let detail = format!("the parts have {bytes} bytes, and the upload was to have {}", intended.bytes);
        return Err(invalid("part_ids", detail));
    }
    Ok(chosen)
}

/// Makes a file of parts, and remembers which it is before the parts are removed.
async fn put_together(
    api: &Api,
    blobs: &Blobs,
    upload: &About,
    intended: &Intended,
    parts: &[Arc<About>],
) -> Result<Arc<About>, ApiError> {
    let now = api.engine.clock().now();
    let wanted = |filename: &str, purpose: &str| Wanted {
        id: FileId::new(now, api.engine.random()),
        tenant: upload.tenant.clone(),
        filename: filename.to_owned(),
        purpose: purpose.to_owned(),
        created_at: now,
    };
    let mut file =
        blobs.begin(wanted(&intended.filename, &intended.purpose), BYTES_MAX).await.map_err(files::refused)?;
    let mut chunk = vec![0; CHUNK];
    for part in parts {
        let mut part = blobs.read(part).await.map_err(files::broken)?;
        loop {
            let length = part.read(&mut chunk).await.map_err(files::broken)?;
            if length == 0 {
                break;
            }
            file.write(&chunk[..length]).await.map_err(files::refused)?;
        }
    }
    if let Some(expiry) = &intended.expires_after {
        file.expire_at(now.after(expiry.checked("expires_after")?));
    }
    let about = file.finish().await.map_err(files::refused)?;
    let mut done = blobs.begin(wanted(upload.id.as_str(), DONE), u64::MAX).await.map_err(files::refused)?;
    done.write(about.id.as_str().as_bytes()).await.map_err(files::refused)?;
    done.expire_at(upload.expires_at.unwrap_or(now));
    done.finish().await.map_err(files::refused)?;
    for part in belonging(blobs, upload, PART) {
        blobs.remove(&part.tenant, &part.id).await.map_err(files::broken)?;
    }
    Ok(about)
}

/// All of a small file.
async fn read(blobs: &Blobs, about: &About) -> Result<Vec<u8>, ApiError> {
    let mut bytes = Vec::new();
    let mut file = blobs.read(about).await.map_err(files::broken)?;
    file.read_to_end(&mut bytes).await.map_err(files::broken)?;
    Ok(bytes)
}

/// The name of an upload or a part, which is kept as a file of this name.
fn named(prefix: &str, file: &FileId) -> String {
    file.as_str().replacen(FILE_PREFIX, prefix, 1)
}

fn object(upload: &About, intended: &Intended, status: &str, file: Option<&About>) -> Value {
    json!({
        "id": named(UPLOAD_PREFIX, &upload.id),
        "object": "upload",
        "bytes": intended.bytes,
        "created_at": seconds(upload.created_at),
        "expires_at": upload.expires_at.map(seconds),
        "filename": intended.filename,
        "purpose": intended.purpose,
        "status": status,
        "file": file.map(files::object),
    })
}

fn seconds(at: Time) -> i64 {
    at.as_millis().div_euclid(1_000)
}
