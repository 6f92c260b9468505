use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, header};
use raincheck_core::ProblemType;
use raincheck_upstream::Secret;

use super::Request;
use crate::OwnKey;
use crate::api::Api;
use crate::problem::ApiError;

/// The header in which a caller brings a key for the upstream, beside the one for this server.
const UPSTREAM_KEY: HeaderName = HeaderName::from_static("raincheck-upstream-key");
/// Where the SDKs of OpenAI and Anthropic put their key.
const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
/// How long a key may be.
const LENGTH_MAX: usize = 1_024;
/// What a key of this server begins with.
const OURS: &str = "rc_";

/// The key for the upstream that a request brings: in a header of its own, or, where this server asks for no key, where the SDK
/// puts its key.
pub(crate) fn own_key(api: &Api, headers: &HeaderMap) -> Result<Option<OwnKey>, ApiError> {
    if let Some(value) = headers.get(UPSTREAM_KEY) {
        let key = value.to_str().ok().map(str::trim).filter(|key| (1..=LENGTH_MAX).contains(&key.len()));
        let detail = format!("{UPSTREAM_KEY} should be a key of 1 to {LENGTH_MAX} plain characters");
        let key = key.ok_or_else(|| ApiError::new(ProblemType::MALFORMED_REQUEST, detail))?;
        return Ok(Some(OwnKey { key: Secret::new(key.to_owned()), is_meant: true }));
    }
    // A key that is not ours says nothing here, and one that is has been looked at.
    if !api.settings.keyless {
        return Ok(None);
    }
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let bearer = text(header::AUTHORIZATION).and_then(|value| value.split_once(' ')).map(|(_, key)| key);
    let key = bearer.or_else(|| text(X_API_KEY)).map(str::trim);
    let key = key.filter(|key| (1..=LENGTH_MAX).contains(&key.len()) && !key.starts_with(OURS));
    Ok(key.map(|key| OwnKey { key: Secret::new(key.to_owned()), is_meant: false }))
}

/// Refuses a job by a caller's own key, which would have to be kept until the job is done.
pub(crate) fn refuse_own_key(headers: &HeaderMap) -> Result<(), ApiError> {
    if !headers.contains_key(UPSTREAM_KEY) {
        return Ok(());
    }
    let detail = "jobs are done with the server's key, because keys are not stored with them; leave out \
                  Raincheck-Upstream-Key, or make a call that is passed through: one without background, \
                  Prefer: respond-async, batches and files kept here";
    Err(ApiError::new(ProblemType::INVALID_REQUEST, detail))
}

/// Part of a request for a job, with which no caller's own key goes.
pub(crate) struct OurKey<T>(pub(crate) T);

impl<S: Sync, T: FromRequestParts<S, Rejection = ApiError>> FromRequestParts<S> for OurKey<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        refuse_own_key(&parts.headers)?;
        T::from_request_parts(parts, state).await.map(Self)
    }
}

impl Request {
    /// The same request by a key of the caller's own, which makes it another than that by another key.
    pub(crate) fn by(mut self, own_key: Option<&OwnKey>) -> Self {
        if let Some(OwnKey { key, .. }) = own_key {
            let print = key.fingerprint();
            self.name.extend(print.iter().take(16).map(|byte| format!("{byte:02x}")));
        }
        self
    }
}
