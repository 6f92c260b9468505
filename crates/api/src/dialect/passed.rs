use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderName};
use axum::response::Response;

use super::{Fields, field};
use crate::PassedBody;
use crate::body::JsonBody;
use crate::problem::ApiError;
use crate::reply::unbuffered;

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
            false => Bytes::copy_from_slice(body.bytes()),
        };
        Ok(Self { upstream, body })
    }
}

/// Those of the headers that are wanted.
pub(crate) fn picked(headers: &HeaderMap, is_wanted: impl Fn(&HeaderName) -> bool) -> HeaderMap {
    headers.iter().filter(|(name, _)| is_wanted(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// An upstream's answer, passed on piece by piece as it comes, with those of its headers that are given back.
pub(crate) fn passed_on(answer: Response<PassedBody>, is_given_back: impl Fn(&HeaderName) -> bool) -> Response {
    let (parts, pieces) = answer.into_parts();
    let mut response = Response::new(Body::from_stream(pieces));
    *response.status_mut() = parts.status;
    *response.headers_mut() = picked(&parts.headers, is_given_back);
    unbuffered(response)
}
