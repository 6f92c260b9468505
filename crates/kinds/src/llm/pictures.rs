//! Pictures among the tenant's files in messages for Anthropic, which go there inside the request.

use raincheck_blob::{Blobs, mentions};
use raincheck_core::{Picture, Problem, ProblemType, Tenant};
use raincheck_engine::Failure;
use serde_json::{Map, Value, json};

use crate::inline::{self, Inlined};

/// Whether every file that a request names stands where a picture may, and can be sent.
///
/// # Errors
/// Which does not.
pub(super) fn check(blobs: &Blobs, tenant: &Tenant, body: &Value) -> Result<(), Problem> {
    let is_in_image = |pointer: &str| {
        let block = pointer.strip_suffix("/source/file_id").and_then(|block| body.pointer(block));
        block.is_some_and(|block| block["type"] == "image" && block["source"]["type"] == "file")
    };
    if let Some(mention) = mentions(body).iter().find(|mention| !is_in_image(&mention.pointer)) {
        let detail = format!(
            "{} is a file of this server, and such go to Anthropic as pictures alone: \
             {{\"type\": \"image\", \"source\": {{\"type\": \"file\", \"file_id\": …}}}}",
            mention.id
        );
        return Err(Problem::new(ProblemType::INVALID_INPUT, detail).at(format!("/input{}", mention.pointer)));
    }
    inline::check(blobs, tenant, body, "/input")
}

/// The request with its pictures in it.
///
/// # Errors
/// If one cannot be read, or is none.
pub(super) async fn inlined(
    blobs: &Blobs,
    tenant: &Tenant,
    body: &Map<String, Value>,
) -> Result<Map<String, Value>, Failure> {
    let whole = inline::inlined(blobs, tenant, Value::Object(body.clone()), source).await?;
    match mentions(&whole).first() {
        None => Ok(whole.as_object().cloned().unwrap_or_default()),
        Some(mention) => {
            let detail = format!("the file {} is no picture", mention.id);
            Err(Failure::fatal(Problem::new(ProblemType::INVALID_INPUT, detail)))
        }
    }
}

fn source(place: &Value, file: &Inlined) -> Option<Value> {
    let is_picture = place["type"] == "file" && Picture::of_media_type(file.media_type).is_some();
    is_picture.then(|| json!({ "type": "base64", "media_type": file.media_type, "data": file.base64 }))
}
