use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Either, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Response, StatusCode, Uri};
use jiff::Timestamp;
use percent_encoding::percent_decode_str;
use raincheck_core::gate::Fault;
use serde_json::Value;
use tokio::time::Instant;

use crate::credentials::Credentials;
use crate::egress::{Http, Idle, Sent};
use crate::gate::Permit;
use crate::mask::Mask;
use crate::upload::Pulse;
use crate::{Answer, CallFailure, Egress, Metered, Protocol, Route, Secret, UpstreamConfig, headers};

/// How connections that nobody uses are kept, for each upstream.
const IDLE: Idle = Idle { max: 64, time: Duration::from_secs(90) };
/// Of a refusal so many bytes are read.
const REFUSAL_MAX: usize = 64 << 10;
/// A path is looked at as a server would that decodes it so many times.
const DECODED_MAX: usize = 3;

/// An upstream and the client that reaches it.
pub(crate) struct Upstream {
    pub(crate) name: String,
    pub(crate) config: UpstreamConfig,
    http: Http,
}

/// What is sent to an upstream.
#[derive(Clone, Debug)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The path below the upstream's base URL, with its query.
    pub path: String,
    /// Headers besides those that the protocol and the key want.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// A key by which the upstream recognises the call if it is made again.
    pub idempotency_key: Option<String>,
}

impl Request {
    /// A request with a JSON body.
    #[must_use]
    pub fn post(path: impl Into<String>, body: Bytes) -> Self {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
        Self { method: Method::POST, path: path.into(), headers, body, idempotency_key: None }
    }

    /// Any request.
    ///
    /// # Errors
    /// What of it cannot be sent.
    pub fn of(method: &str, path: &str, headers: &[(&str, &str)], body: Bytes, is_json: bool) -> Result<Self, String> {
        let mut request = Self::get(path);
        request.method = method.parse().map_err(|_| format!("{method:?} is no method"))?;
        request.body = body;
        if is_json {
            request.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        for (name, value) in headers {
            let name: HeaderName = name.parse().map_err(|_| format!("{name:?} is no name of a header"))?;
            let value = HeaderValue::from_str(value)
                .map_err(|_| format!("the header {name} has a value that it cannot have"))?;
            request.headers.insert(name, value);
        }
        Ok(request)
    }

    /// A request that changes something, and says by its path what.
    #[must_use]
    pub fn put(path: impl Into<String>) -> Self {
        Self { method: Method::PUT, ..Self::get(path) }
    }

    /// A request that asks for something.
    #[must_use]
    pub fn get(path: impl Into<String>) -> Self {
        Self { method: Method::GET, headers: HeaderMap::new(), ..Self::post(path, Bytes::new()) }
    }
}

impl Upstream {
    pub(crate) fn new(name: String, config: UpstreamConfig, egress: &Egress) -> std::io::Result<Self> {
        let host = config.base_url.host().unwrap_or_default();
        let http = egress.client(Some(host), config.patience.connect, IDLE)?;
        Ok(Self { name, config, http })
    }

    /// Whether it names the model as one of its own.
    pub(crate) fn lists(&self, model: &str) -> bool {
        self.config.models.iter().any(|own| own == model)
    }

    /// Whether it takes the model.
    pub(crate) fn takes(&self, model: &str) -> bool {
        self.config.models.is_empty() || self.lists(model)
    }

    /// The request as it is sent, with this body, and signed with this key or its own.
    pub(crate) fn http_request(
        &self,
        request: &Request,
        body: Sent,
        key: Option<&Secret>,
    ) -> Result<hyper::Request<Sent>, CallFailure> {
        let unsendable = |detail: String| CallFailure::unanswered(Fault::Status { status: 400, code: None }, detail);
        below(&request.path).map_err(unsendable)?;
        let base = self.config.base_url.to_string();
        let uri: Uri = format!("{}/{}", base.trim_end_matches('/'), request.path.trim_start_matches('/'))
            .parse()
            .map_err(|error| unsendable(format!("the path cannot be sent: {error}")))?;
        // A path that would lead to another host is none.
        if uri.authority() != self.config.base_url.authority() {
            return Err(unsendable("the path leads elsewhere".into()));
        }
        let mut headers = request.headers.clone();
        self.config.protocol.complete(&mut headers);
        if let Some(key) = key.or(self.config.api_key.as_ref()) {
            self.config.protocol.sign(key.reveal(), &mut headers);
        }
        if let (Some(name), Some(key)) = (&self.config.idempotency_header, &request.idempotency_key)
            && let (Ok(name), Ok(key)) = (name.parse::<HeaderName>(), HeaderValue::from_str(key))
        {
            headers.insert(name, key);
        }
        let mut http = hyper::Request::new(body);
        *http.method_mut() = request.method.clone();
        *http.uri_mut() = uri;
        *http.headers_mut() = headers;
        Ok(http)
    }
}

impl Route {
    /// Makes a call that its gate has let through.
    ///
    /// # Errors
    /// If the upstream is not reached, does not answer in time, or refuses. The gate has learned of it.
    pub async fn send(&self, permit: Permit, request: &Request) -> Result<Answer, CallFailure> {
        self.make(Some(permit), self.whole(request)?, &Pulse::default()).await
    }

    /// Makes a call that costs the upstream next to nothing, such as asking how far it is: no gate counts it.
    ///
    /// # Errors
    /// As of [`Route::send`].
    pub async fn send_aside(&self, request: &Request) -> Result<Answer, CallFailure> {
        self.make(None, self.whole(request)?, &Pulse::default()).await
    }

    fn whole(&self, request: &Request) -> Result<hyper::Request<Sent>, CallFailure> {
        let body = Either::Left(Full::new(request.body.clone()));
        self.upstream.http_request(request, body, self.own_key.as_ref())
    }

    /// Makes a call. `pulse` tells how its body is taken, if that is read while it is sent.
    pub(crate) async fn make(
        &self,
        mut permit: Option<Permit>,
        http: hyper::Request<Sent>,
        pulse: &Pulse,
    ) -> Result<Answer, CallFailure> {
        let upstream = &self.upstream;
        let patience = upstream.config.patience;
        let began = Instant::now();
        let deadline = began + patience.total;
        let credentials = Credentials::of(http.headers());
        let response = match pulse.watch(upstream.http.request(http), &patience, began).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => {
                let fault = if error.is_connect() { Fault::Connect } else { Fault::CutOff };
                return Err(unanswered(permit, fault, format!("{} is not reached: {}", upstream.name, cause(&error))));
            }
            Err(stalled) => {
                let (fault, what) = stalled.told();
                return Err(unanswered(permit, fault, format!("{} {what}", upstream.name)));
            }
        };
        let first_byte = pulse.sent_at().unwrap_or(began).elapsed();
        let now = Timestamp::now();
        let (requests, tokens) = headers::limits(response.headers(), now);
        self.gate.observe(requests, tokens);
        if self.refuses(response.status()) {
            let retry_after = headers::retry_after(response.headers(), now, headers::WAIT_MAX);
            return Err(self.refused(permit, response, retry_after, &credentials).await);
        }
        permit.iter_mut().for_each(Permit::begun);
        let (mut parts, body) = response.into_parts();
        credentials.hide_in_headers(&mut parts.headers);
        let content_type = parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let is_stream = content_type.starts_with("text/event-stream");
        let body = Metered::new(body, permit, (first_byte, patience.gap, deadline), is_stream, Mask::new(&credentials));
        Ok(Answer { status: parts.status, headers: parts.headers, body, served: self.served() })
    }

    /// Whether an answer of this status is none that was asked for. Redirects are not followed, and mean something only where the
    /// caller says what is expected.
    fn refuses(&self, status: StatusCode) -> bool {
        let is_redirect = status.is_redirection() && self.upstream.config.protocol != Protocol::Http;
        is_redirect || status.as_u16() >= 400
    }

    async fn refused(
        &self,
        permit: Option<Permit>,
        response: Response<Incoming>,
        retry_after: Option<Duration>,
        credentials: &Credentials,
    ) -> CallFailure {
        let gap = self.upstream.config.patience.gap;
        let (mut parts, body) = response.into_parts();
        credentials.hide_in_headers(&mut parts.headers);
        let status = parts.status.as_u16();
        let read = tokio::time::timeout(gap, Limited::new(body, REFUSAL_MAX).collect()).await;
        let bytes = read.ok().and_then(Result::ok).map(http_body_util::Collected::to_bytes).unwrap_or_default();
        let bytes = credentials.hide_in_bytes(bytes);
        let body: Option<Value> = serde_json::from_slice(&bytes).ok();
        let (code, message) = body.as_ref().map_or((None, None), |body| self.upstream.config.protocol.error(body));
        let fault = Fault::Status { status, code };
        let (verdict, what) = (fault.verdict(), fault.told());
        let said = match message {
            Some(message) => format!(": {message}"),
            None if parts.status.is_redirection() => {
                ", a redirect, which is not followed; its base_url is for the operator to mend".to_owned()
            }
            None => String::new(),
        };
        let detail = format!("{} answered {status}{said}", self.upstream.name);
        let headers = Box::new(parts.headers);
        let failure = CallFailure { verdict, detail, what, status: Some(status), body, retry_after, headers };
        if let Some(permit) = permit {
            permit.fail(&failure);
        }
        failure
    }
}

/// Refuses a path that an upstream may take to lead out of its base URL, however that is written.
fn below(path: &str) -> Result<(), String> {
    let whole = path.split(['?', '#']).next().unwrap_or_default();
    let mut plain = whole.to_owned();
    for _ in 0..DECODED_MAX {
        plain = percent_decode_str(&plain).decode_utf8_lossy().into_owned();
    }
    if plain.contains('\\') {
        return Err(format!("the path {whole:?} has a backslash, by which some servers leave their base URL"));
    }
    // What stands behind a semicolon is no part of the name to some servers.
    let is_dots = |part: &str| matches!(part.split(';').next(), Some("." | ".."));
    if plain.split('/').any(is_dots) {
        return Err(format!("the path {whole:?} has a part `.` or `..`, and may not leave the upstream's base URL"));
    }
    Ok(())
}

fn unanswered(permit: Option<Permit>, fault: Fault<'_>, detail: String) -> CallFailure {
    let failure = CallFailure::unanswered(fault, detail);
    if let Some(permit) = permit {
        permit.fail(&failure);
    }
    failure
}

/// The innermost cause, which says most.
pub(crate) fn cause(error: &dyn Error) -> String {
    std::iter::successors(Some(error), |error| (*error).source()).last().map(ToString::to_string).unwrap_or_default()
}
