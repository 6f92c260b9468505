use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderName, header};

use crate::api::Api;
use crate::problem::ApiError;
use crate::query::malformed;

/// By which scheme a client reached the proxy before this server.
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Where the client found the server: the beginning of absolute addresses in its answers, such as `https://host:8443`.
///
/// It is what the request itself says, so it leads nobody but its sender anywhere.
pub(crate) struct Base(pub(crate) String);

impl FromRequestParts<Arc<Api>> for Base {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, ApiError> {
        let text = |name| parts.headers.get(name).and_then(|value| value.to_str().ok());
        let forwarded = text(FORWARDED_PROTO).map(|list| list.split(',').next().unwrap_or_default().trim());
        let scheme = match forwarded {
            Some(said) if said.eq_ignore_ascii_case("https") => "https",
            _ if api.settings.tls.is_some() => "https",
            _ => "http",
        };
        let authority = parts.uri.authority().map(|authority| authority.as_str());
        let host = authority.or_else(|| text(header::HOST)).unwrap_or_default();
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':' | b'[' | b']');
        if host.is_empty() || !host.bytes().all(plain) {
            return Err(malformed("the Host header should be a host name or address".to_owned()));
        }
        Ok(Self(format!("{scheme}://{host}{}", api.settings.path)))
    }
}
