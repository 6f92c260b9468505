use axum::body::Bytes;

use super::{Fields, field};
use crate::body::JsonBody;
use crate::problem::ApiError;

/// Fields that a job's input may have besides the provider's own, and that no provider is sent.
const OWN: [&str; 2] = ["upstream", "on_ambiguous"];

/// A body on its way to an upstream.
pub(crate) struct Addressed {
    /// The upstream that the caller chose.
    pub(crate) upstream: Option<String>,
    /// What the upstream is sent.
    pub(crate) body: Bytes,
}

impl Addressed {
    /// A body with these fields: as it came, to the byte, if they say nothing that is not for the upstream.
    pub(crate) fn new(body: &JsonBody, mut fields: Fields) -> Result<Self, ApiError> {
        let upstream = field(&fields, "upstream", "the name of an upstream")?;
        for own in OWN {
            fields.remove(own);
        }
        let body = match fields.is_changed() {
            true => fields.json().as_str().to_owned().into(),
            false => body.bytes().clone(),
        };
        Ok(Self { upstream, body })
    }
}
