use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, Uri, Version, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use raincheck_core::ProblemType;
use tokio::time::Instant;

use crate::Identity;
use crate::api::Api;
use crate::dialect::Dialect;
use crate::problem::ApiError;
use crate::query::malformed;

/// What every request passes through, and the only layer there is: checks who is being addressed, counts, and sets the
/// headers that every response has.
pub(crate) async fn door(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let under = api.settings.path.as_str();
    let path = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let path = path.map(|path| path.strip_prefix(under).unwrap_or(path));
    let route = path.and_then(|path| api.metrics.route(path)).unwrap_or("unmatched");
    let dialect = Dialect::of(request.uri().path());
    let (method, version) = (request.method().clone(), request.version());
    let may_be_cached = matches!(route, "/openapi.json" | "/files/{id}");
    let mut response = match check(&api, &request) {
        Ok(()) => next.run(request).await,
        Err(error) => {
            // What follows on the connection may not be what its sender thinks.
            let mut response = error.into_response();
            if version == Version::HTTP_11 {
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            response
        }
    };
    if let Some(dialect) = dialect {
        dialect.translate(api.engine.clock().now(), &mut response);
    }
    let headers = response.headers_mut();
    if !under.is_empty() {
        relocate(headers, under);
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if !may_be_cached {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    api.metrics.observe(&method, route, response.status(), begun.elapsed());
    response
}

/// A path of ours is found under that of the routes.
fn relocate(headers: &mut HeaderMap, under: &str) {
    let location = headers.get(header::LOCATION).and_then(|location| location.to_str().ok());
    let location = location.filter(|location| location.starts_with('/')).map(|location| format!("{under}{location}"));
    if let Some(location) = location.and_then(|location| HeaderValue::try_from(location).ok()) {
        headers.insert(header::LOCATION, location);
    }
}

fn check(api: &Api, request: &Request) -> Result<(), ApiError> {
    let mut hosts = request.headers().get_all(header::HOST).into_iter();
    let host = hosts.next();
    let is_named = host.is_some_and(|host| !host.is_empty()) || request.uri().authority().is_some();
    if hosts.next().is_some() || (!is_named && request.version() == Version::HTTP_11) {
        return Err(malformed(
            "a request has one Host header, which names the server (RFC 9112, section 3.2)".to_owned(),
        ));
    }
    let is_known = request.extensions().get::<Identity>().is_some();
    if api.settings.keyless && !is_known && !(is_local_host(request.uri(), host) && is_local_origin(request.headers()))
    {
        let detail = "a server without keys answers only on localhost and only to pages from there; \
                      make a key with `raincheck key create` and send it";
        return Err(ApiError::new(ProblemType::FORBIDDEN, detail));
    }
    Ok(())
}

/// Whether a request is addressed to this machine by one of its own names. If a browser was led here by a name that
/// somebody else makes resolve to a loopback address (DNS rebinding), it says that name. Who says none is no browser.
fn is_local_host(uri: &Uri, host: Option<&HeaderValue>) -> bool {
    let host = host.map(|host| host.to_str().unwrap_or("?"));
    uri.authority().map(|authority| authority.as_str()).into_iter().chain(host).all(is_loopback)
}

/// Whether a request that a page of some origin made comes from this machine.
fn is_local_origin(headers: &HeaderMap) -> bool {
    headers.get(header::ORIGIN).is_none_or(|origin| {
        let origin = origin.to_str().unwrap_or_default();
        origin.split_once("://").is_some_and(|(_, authority)| is_loopback(authority))
    })
}

fn is_loopback(authority: &str) -> bool {
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    };
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host.eq_ignore_ascii_case("localhost") || address.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_has_few_names() {
        for good in ["localhost", "LOCALHOST:8080", "127.0.0.1:80", "127.1.2.3", "[::1]:8080", "[::1]"] {
            assert!(is_loopback(good), "{good}");
        }
        for bad in [
            "",
            "evil.example",
            "localhost.evil.example:80",
            "10.0.0.1",
            "127.0.0.1.evil.example",
            "0.0.0.0",
            "::",
            "?",
        ] {
            assert!(!is_loopback(bad), "{bad}");
        }
    }

    #[test]
    fn a_page_of_another_origin_is_told_apart() {
        let from = |origin: &'static str| {
            is_local_origin(&HeaderMap::from_iter([(header::ORIGIN, HeaderValue::from_static(origin))]))
        };
        assert!(is_local_origin(&HeaderMap::new()) && from("http://localhost:3000"));
        assert!(!from("https://evil.example") && !from("null") && !from(""));
    }
}
