use std::marker::PhantomData;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, header};
use raincheck_core::{ProblemType, Tenant};
use raincheck_store::{ApiKey, Scope};

use crate::Identity;
use crate::api::Api;
use crate::dialect::Dialect;
use crate::keys::Presented;
use crate::problem::ApiError;

mod keyring;

/// The header in which Anthropic's older clients send their key.
const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
/// What may stand before a key.
const SCHEMES: [&str; 3] = ["bearer", "key", "token"];

pub(crate) use keyring::Keyring;

/// A scope as a type: a handler that takes a [`Caller<N>`] cannot be reached without the scope of `N`.
pub(crate) trait Needs: Send + Sync + 'static {
    const SCOPE: Scope;
}

macro_rules! needs {
    ($($scope:ident),+) => {$(
        #[doc = concat!("Needs the scope of this name.")]
        pub(crate) struct $scope;

        impl Needs for $scope {
            const SCOPE: Scope = Scope::$scope;
        }
    )+};
}

needs!(Submit, Read, Worker, Admin);

/// Whoever sent a request, with a key that has the scope of `N` (or `admin`, which has all).
pub(crate) struct Caller<N> {
    /// Whose jobs they submit.
    pub(crate) tenant: Tenant,
    /// Whether they see the jobs of every tenant.
    pub(crate) is_admin: bool,
    key: Option<Arc<ApiKey>>,
    needs: PhantomData<N>,
}

impl<N> Caller<N> {
    /// The public part of their key.
    pub(crate) fn key_id(&self) -> &str {
        self.key.as_ref().map_or("keyless", |key| &key.id)
    }

    /// The tenant whose jobs alone they may see; `None` if all.
    pub(crate) fn sees(&self) -> Option<&Tenant> {
        (!self.is_admin).then_some(&self.tenant)
    }
}

impl<N: Needs> Caller<N> {
    /// The owner of a key, if it allows this.
    fn with_key(key: Arc<ApiKey>) -> Result<Self, ApiError> {
        let is_admin = key.scopes.contains(&Scope::Admin);
        if !is_admin && !key.scopes.contains(&N::SCOPE) {
            let detail = format!("the API key lacks the scope `{}`; use one that has it", N::SCOPE);
            return Err(ApiError::new(ProblemType::FORBIDDEN, detail));
        }
        Ok(Self { tenant: key.tenant.clone(), is_admin, key: Some(key), needs: PhantomData })
    }
}

impl<N: Needs> FromRequestParts<Arc<Api>> for Caller<N> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, ApiError> {
        if let Some(Identity(key)) = parts.extensions.get::<Identity>() {
            return Self::with_key(Arc::clone(key));
        }
        let is_dialect = Dialect::of(parts.uri.path()).is_some();
        let presented = match presented(&parts.headers) {
            // The clients of other APIs cannot leave out a key: where none is needed, any will do.
            Err(_) if is_dialect && api.settings.keyless => None,
            presented => presented?,
        };
        let Some(presented) = presented else {
            if api.settings.keyless && api.keyring.is_empty(api.engine.store()).await? {
                return Ok(Self { tenant: Tenant::default(), is_admin: true, key: None, needs: PhantomData });
            }
            return Err(unauthenticated("send an API key as `Authorization: Bearer rc_…`"));
        };
        let key = api.keyring.key(api.engine.store(), presented.id()).await?;
        let now = api.engine.clock().now();
        let key = key
            .filter(|key| presented.matches(&key.hash) && key.expires_at.is_none_or(|at| at > now))
            .ok_or_else(|| unauthenticated("the API key is unknown, expired or revoked"))?;
        Self::with_key(key)
    }
}

/// The key that a request carries, if any: as `Authorization: Bearer`, `Key` (FAL's clients) or `Token` (old ones of
/// Replicate), or as `x-api-key` (Anthropic's). A malformed one is refused here, without asking the store.
fn presented(headers: &HeaderMap) -> Result<Option<Presented<'_>>, ApiError> {
    let token = match (headers.get(header::AUTHORIZATION), headers.get(X_API_KEY)) {
        (None, None) => return Ok(None),
        (None, Some(value)) => value.to_str().ok().map(str::trim),
        (Some(value), _) => value.to_str().ok().and_then(|text| {
            let (scheme, token) = text.split_once(' ')?;
            SCHEMES.iter().any(|known| scheme.eq_ignore_ascii_case(known)).then(|| token.trim())
        }),
    };
    let malformed = || unauthenticated("the API key is malformed: it should be `Authorization: Bearer rc_…`, whole");
    token.and_then(Presented::parse).map(Some).ok_or_else(malformed)
}

fn unauthenticated(detail: &str) -> ApiError {
    ApiError::new(ProblemType::UNAUTHENTICATED, detail)
}
