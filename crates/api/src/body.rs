use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use bytes::BytesMut;
use http_body_util::BodyExt;
use raincheck_core::{Json, ProblemType};
use raincheck_store::StoreError;
use serde::Deserialize;
use tokio::time::Instant;

use crate::api::Api;
use crate::json;
use crate::problem::ApiError;

/// How many bytes of request bodies are in memory.
#[derive(Default)]
pub(crate) struct Bodies(AtomicUsize);

/// A request body that says it is JSON, whole.
pub(crate) struct JsonBody {
    bytes: Bytes,
    api: Arc<Api>,
    held: usize,
}

impl Drop for JsonBody {
    fn drop(&mut self) {
        self.api.bodies.0.fetch_sub(self.held, Ordering::Relaxed);
    }
}

impl JsonBody {
    /// The bytes as they came.
    pub(crate) fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Reads the body as `T`.
    pub(crate) fn parse<'a, T: Deserialize<'a>>(&'a self) -> Result<T, ApiError> {
        json::parse(&self.bytes).map_err(Into::into)
    }

    /// The body as it came, once it is known to be JSON.
    pub(crate) fn parse_json(&self) -> Result<Json, ApiError> {
        let text = String::from_utf8(self.bytes.to_vec());
        let json = text.ok().and_then(|text| Json::from_text(text).ok());
        json.ok_or_else(|| ApiError::new(ProblemType::MALFORMED_REQUEST, "the body is not JSON in UTF-8"))
    }

    /// Counts what arrived, and refuses it if all requests together hold too much.
    fn hold(&mut self, bytes: usize) -> Result<(), ApiError> {
        self.held += bytes;
        let before = self.api.bodies.0.fetch_add(bytes, Ordering::Relaxed);
        if before + bytes > self.api.settings.bodies_bytes_max { Err(StoreError::OVERLOADED.into()) } else { Ok(()) }
    }

    /// Reads a body to its end, within the limits of size and time.
    pub(crate) async fn read(api: &Arc<Api>, mut body: Body) -> Result<Self, ApiError> {
        let max = api.settings.body_bytes_max;
        let announced = body.size_hint().lower();
        if announced > max as u64 {
            return Err(too_large(max));
        }
        let start = Instant::now();
        let mut whole = Self { bytes: Bytes::new(), api: Arc::clone(api), held: 0 };
        let mut pieces = BytesMut::new();
        while let Some(piece) = next_piece(&mut body, start + patience(api, whole.held)).await? {
            whole.hold(piece.len())?;
            if whole.held > max {
                return Err(too_large(max));
            }
            // Nearly every body comes in one piece, and is not copied.
            if whole.bytes.is_empty() && pieces.is_empty() {
                whole.bytes = piece;
                continue;
            }
            if pieces.is_empty() {
                pieces.extend_from_slice(&std::mem::take(&mut whole.bytes));
            }
            pieces.extend_from_slice(&piece);
        }
        if !pieces.is_empty() {
            whole.bytes = pieces.freeze();
        }
        Ok(whole)
    }
}

impl FromRequest<Arc<Api>> for JsonBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, api: &Arc<Api>) -> Result<Self, ApiError> {
        if !is_json(request.headers()) {
            let detail = "send the body as JSON, with the header `Content-Type: application/json`";
            return Err(ApiError::new(ProblemType::UNSUPPORTED_MEDIA_TYPE, detail));
        }
        if is_coded(request.headers()) {
            return Err(coded());
        }
        Self::read(api, request.into_body()).await
    }
}

/// A JSON body, where it may be left out.
pub(crate) struct OptionalJsonBody(pub(crate) Option<JsonBody>);

impl FromRequest<Arc<Api>> for OptionalJsonBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, api: &Arc<Api>) -> Result<Self, ApiError> {
        if request.body().is_end_stream() {
            return Ok(Self(None));
        }
        if is_coded(request.headers()) {
            return Err(coded());
        }
        let says_json = is_json(request.headers());
        let body = JsonBody::read(api, request.into_body()).await?;
        if body.bytes.is_empty() {
            return Ok(Self(None));
        }
        if !says_json {
            let detail = "leave out the body, or send it as JSON with the header `Content-Type: application/json`";
            return Err(ApiError::new(ProblemType::UNSUPPORTED_MEDIA_TYPE, detail));
        }
        Ok(Self(Some(body)))
    }
}

/// No body, where one would mean nothing: it would be wrong to do as if it had been read.
pub(crate) struct NoBody;

impl FromRequest<Arc<Api>> for NoBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, api: &Arc<Api>) -> Result<Self, ApiError> {
        let mut body = request.into_body();
        // One of unknown length may turn out to be empty.
        let is_empty = body.is_end_stream()
            || body.size_hint().lower() == 0
                && next_piece(&mut body, Instant::now() + api.settings.body_timeout).await?.is_none();
        if is_empty {
            return Ok(Self);
        }
        Err(ApiError::new(ProblemType::INVALID_REQUEST, "nothing can be said in a body here; leave it out"))
    }
}

/// Whether the body says it is JSON. Nothing else is read, not even without a type: a page of another origin can make a
/// browser send other types, but not this one.
fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

/// Whether the body is compressed, or otherwise coded. That is not undone here: a small body could become a very large one.
fn is_coded(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::CONTENT_ENCODING)
        .into_iter()
        .any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"))
}

fn coded() -> ApiError {
    let detail = "send the body as it is, without Content-Encoding";
    ApiError::new(ProblemType::UNSUPPORTED_MEDIA_TYPE, detail)
}

/// How long a body of which so much has arrived may have taken.
pub(crate) fn patience(api: &Api, arrived: usize) -> Duration {
    api.settings.body_timeout
        + Duration::from_millis(arrived as u64 * 1_000 / u64::from(api.settings.body_rate_min.max(1)))
}

pub(crate) async fn next_piece(body: &mut Body, until: Instant) -> Result<Option<Bytes>, ApiError> {
    loop {
        let frame = tokio::time::timeout_at(until, body.frame()).await.map_err(|_| {
            ApiError::new(ProblemType::REQUEST_TIMEOUT, "the body did not arrive in time; send it faster, or less")
        })?;
        match frame {
            None => return Ok(None),
            Some(Err(_)) => {
                let detail = "the body ended early, or its framing is broken; send it again";
                return Err(ApiError::new(ProblemType::MALFORMED_REQUEST, detail));
            }
            Some(Ok(frame)) => match frame.into_data() {
                Ok(piece) if piece.is_empty() => {}
                Ok(piece) => return Ok(Some(piece)),
                // Trailers mean nothing here.
                Err(_) => {}
            },
        }
    }
}

fn too_large(max: usize) -> ApiError {
    let detail = format!("the body may have {max} bytes; send less, or split a batch");
    ApiError::new(ProblemType::BODY_TOO_LARGE, detail)
}
