use axum::body::Body;
use axum::http::{HeaderMap, HeaderName};
use axum::response::Response;

use crate::PassedBody;
use crate::reply::unbuffered;

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
