//! Files that go inside a request, where the provider could not fetch them and takes none apart.

use std::io;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use raincheck_blob::{About, Blobs, FileId, Mention, mentions};
use raincheck_core::{Picture, Problem, ProblemType, Tenant};
use raincheck_engine::Failure;
use serde_json::Value;
use tokio::io::AsyncReadExt;

/// The largest file that is sent inside a request, and how many of them are.
const BYTES_MAX: u64 = 20_000_000;
const FILES_MAX: usize = 4;

/// A file as it stands in a request.
pub(crate) struct Inlined {
    /// What it is by its bytes: a picture, or nothing that is known.
    pub(crate) media_type: &'static str,
    pub(crate) base64: String,
}

/// Whether every file that a request names is there for the tenant and can be sent inside it; `root` is where the request stands
/// in the input.
///
/// # Errors
/// Which is not.
pub(crate) fn check(blobs: &Blobs, tenant: &Tenant, request: &Value, root: &str) -> Result<(), Problem> {
    let named = mentions(request);
    if named.len() > FILES_MAX {
        let detail = format!("it names {} files, and may name {FILES_MAX}", named.len());
        return Err(Problem::new(ProblemType::INVALID_INPUT, detail).at(root));
    }
    named.into_iter().try_for_each(|Mention { id, pointer }| {
        let wrong = |detail| Problem::new(ProblemType::INVALID_INPUT, detail).at(format!("{root}{pointer}"));
        found(blobs, tenant, &id).map(drop).map_err(wrong)
    })
}

/// The request with its files in it: each object for which `stands_for` has a value, given the file that it names, becomes that.
///
/// # Errors
/// If a file cannot be read.
pub(crate) async fn inlined(
    blobs: &Blobs,
    tenant: &Tenant,
    mut request: Value,
    stands_for: impl Fn(&Value, &Inlined) -> Option<Value>,
) -> Result<Value, Failure> {
    for Mention { id, pointer } in mentions(&request) {
        let file = read(blobs, tenant, &id).await?;
        let place = pointer.rsplit_once('/').and_then(|(place, _)| request.pointer_mut(place));
        if let Some(place) = place
            && let Some(value) = stands_for(place, &file)
        {
            *place = value;
        }
    }
    Ok(request)
}

async fn read(blobs: &Blobs, tenant: &Tenant, id: &FileId) -> Result<Inlined, Failure> {
    let gone = |detail| Failure::fatal(Problem::new(ProblemType::INVALID_INPUT, detail));
    let file = found(blobs, tenant, id).map_err(gone)?;
    let unread = |error: io::Error| Failure::transient(format!("the file {id} cannot be read: {error}"));
    let mut bytes = Vec::new();
    blobs.read(&file).await.map_err(unread)?.take(BYTES_MAX).read_to_end(&mut bytes).await.map_err(unread)?;
    let media_type = Picture::of_bytes(&bytes).map_or("application/octet-stream", Picture::media_type);
    Ok(Inlined { media_type, base64: STANDARD.encode(bytes) })
}

fn found(blobs: &Blobs, tenant: &Tenant, id: &FileId) -> Result<Arc<About>, String> {
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
