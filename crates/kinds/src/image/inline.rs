use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use raincheck_blob::{About, Blobs, FileId, Mention, mentions};
use raincheck_core::{Picture, Problem, ProblemType, Tenant};
use raincheck_engine::Failure;
use serde_json::{Map, Value};
use tokio::io::AsyncReadExt;

/// The largest file that is sent inside a request, and how many of them are.
const BYTES_MAX: u64 = 20_000_000;
const FILES_MAX: usize = 4;

/// Whether every file that an input names is there for the tenant, and can be sent inside the request.
///
/// # Errors
/// Which is not.
pub(super) fn check(blobs: &Blobs, tenant: &Tenant, input: &Map<String, Value>) -> Result<(), Problem> {
    let named = mentions(&Value::Object(input.clone()));
    if named.len() > FILES_MAX {
        let detail = format!("it names {} files, and may name {FILES_MAX}", named.len());
        return Err(Problem::new(ProblemType::INVALID_INPUT, detail).at("/input/input"));
    }
    for Mention { id, pointer } in named {
        if let Err(detail) = found(blobs, tenant, &id) {
            return Err(Problem::new(ProblemType::INVALID_INPUT, detail).at(format!("/input/input{pointer}")));
        }
    }
    Ok(())
}

/// The input with its files in it: where it has an object that says nothing but a `file_id`, the file stands as a data address,
/// so that a provider gets it who could not fetch it from here.
///
/// # Errors
/// If one cannot be read.
pub(super) async fn inlined(
    blobs: &Blobs,
    tenant: &Tenant,
    input: &Map<String, Value>,
) -> Result<Map<String, Value>, Failure> {
    let mut whole = Value::Object(input.clone());
    for Mention { id, pointer } in mentions(&whole) {
        let place = pointer.rsplit_once('/').and_then(|(place, _)| whole.pointer_mut(place));
        if let Some(place) = place.filter(|place| place.as_object().is_some_and(|fields| fields.len() == 1)) {
            *place = data_address(blobs, tenant, &id).await?.into();
        }
    }
    match whole {
        Value::Object(input) => Ok(input),
        _ => Err(wrong("the whole input is no file".to_owned())),
    }
}

async fn data_address(blobs: &Blobs, tenant: &Tenant, id: &FileId) -> Result<String, Failure> {
    let file = found(blobs, tenant, id).map_err(wrong)?;
    let unread = |error: io::Error| Failure::transient(format!("the file {id} cannot be read: {error}"));
    let mut bytes = Vec::new();
    blobs.read(&file).await.map_err(unread)?.take(BYTES_MAX).read_to_end(&mut bytes).await.map_err(unread)?;
    let media_type = Picture::of_bytes(&bytes).map_or("application/octet-stream", Picture::media_type);
    Ok(format!("data:{media_type};base64,{}", STANDARD.encode(bytes)))
}

fn found(blobs: &Blobs, tenant: &Tenant, id: &FileId) -> Result<std::sync::Arc<About>, String> {
    let file = blobs.get(tenant, id).filter(|file| !file.is_hidden());
    let file = file.ok_or_else(|| format!("there is no file {id}; upload it first, with a key of the same tenant"))?;
    if file.bytes > BYTES_MAX {
        return Err(format!(
            "the file {id} has {} bytes, and may have {BYTES_MAX} to be sent in a request",
            file.bytes
        ));
    }
    Ok(file)
}

fn wrong(detail: String) -> Failure {
    Failure::fatal(Problem::new(ProblemType::INVALID_INPUT, detail))
}
