use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, Method, header};
use axum::response::{IntoResponse, Redirect, Response};
use raincheck_recipes::Book;

/// Where pages are shown.
const ROOT: &str = "/pages/";
/// How pages look, unless they bring a style of their own.
const STYLE_NAME: &str = "raincheck.css";
const STYLE: &str = include_str!("page/raincheck.css");
/// A page runs only what lies beside it, and speaks to nobody but this server.
const POLICY: &str = "default-src 'self'; img-src 'self' data: blob: https:; frame-ancestors 'none'";

/// A file of a page that lies beside a recipe, if that is what is asked for.
pub(super) fn serve(book: &Book, request: &Request) -> Option<Response> {
    let rest = request.uri().path().strip_prefix(ROOT)?;
    if *request.method() != Method::GET {
        return None;
    }
    if rest == STYLE_NAME {
        return Some(told("text/css; charset=utf-8", STYLE));
    }
    let Some((folder, name)) = rest.split_once('/') else {
        let is_page = book.asset(rest, "index.html").is_some();
        return is_page.then(|| Redirect::permanent(&format!("{ROOT}{rest}/")).into_response());
    };
    let asset = book.asset(folder, if name.is_empty() { "index.html" } else { name })?;
    Some(told(asset.media_type, asset.bytes))
}

fn told(media_type: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    response
}
