use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;
use raincheck_core::{ConversationId, JobId, ProblemType, Tenant};
use raincheck_engine::Submitted;
use raincheck_store::Idempotency;

use crate::problem::ApiError;

/// The header with the client's own name for a request.
pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// The header that marks an answer given to a repeated request.
pub(crate) const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// The longest key, in bytes.
const LENGTH_MAX: usize = 255;

/// The client's own name for a request, if it gave one.
pub(crate) struct IdempotencyKey(Option<HeaderValue>);

impl<S: Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let mut values = parts.headers.get_all(IDEMPOTENCY_KEY).into_iter();
        let key = values.next();
        let good = |key: &HeaderValue| (1..=LENGTH_MAX).contains(&key.len());
        if values.next().is_some() || !key.is_none_or(good) {
            let detail = "Idempotency-Key should be given once, with 1 to 255 characters";
            return Err(ApiError::new(ProblemType::MALFORMED_REQUEST, detail));
        }
        Ok(Self(key.cloned()))
    }
}

impl IdempotencyKey {
    /// As if the client had given this one.
    #[cfg(test)]
    pub(crate) fn given(key: &'static str) -> Self {
        Self(Some(HeaderValue::from_static(key)))
    }

    /// Whether the client gave one.
    pub(crate) fn is_given(&self) -> bool {
        self.0.is_some()
    }

    /// What the store is to remember of a request with this body.
    pub(crate) fn single(&self, tenant: &Tenant, body: &[u8]) -> Option<Idempotency> {
        let key = self.0.as_ref()?;
        Some(Idempotency::of(tenant, key.as_bytes(), None, body))
    }

    /// The same of a request to do this job anew, which has no body. No body that is JSON reads like this path.
    pub(crate) fn anew(&self, tenant: &Tenant, job: JobId) -> Option<Idempotency> {
        self.single(tenant, format!("/v1/jobs/{job}/retry").as_bytes())
    }

    /// The same of what is said in a conversation. No body that is JSON begins like this path.
    pub(crate) fn said(&self, tenant: &Tenant, conversation: ConversationId, body: &[u8]) -> Option<Idempotency> {
        self.single(tenant, &[format!("/v1/conversations/{conversation} ").as_bytes(), body].concat())
    }

    /// The same for each entry of a batch, which gets a name of its own from the one of the whole.
    pub(crate) fn batch(&self, tenant: &Tenant, body: &[u8], entries: usize) -> Vec<Option<Idempotency>> {
        let Some(key) = self.0.as_ref() else { return vec![None; entries] };
        let entry = |number: usize| Some(Idempotency::of(tenant, key.as_bytes(), Some(number), body));
        (0..entries).map(entry).collect()
    }
}

/// Marks the answer to a request that had been carried out before.
pub(crate) fn marked(mut response: Response, submitted: &Submitted) -> Response {
    if matches!(submitted, Submitted::Existing(_)) {
        response.headers_mut().insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
    }
    response
}
