//! The HTTP under `object_store`: hyper, as everywhere else, and time-outs on everything that may take for ever.

use std::error::Error;
use std::fmt;
use std::io;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http_body_util::{BodyExt, Limited, StreamBody};
use hyper::body::{Body, Frame};
use hyper::{Method, Response};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody, HttpResponse, HttpResponseBody,
    HttpService,
};

/// How long it may take to be connected.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// How long it may take to send a request and hear the head of its answer. A part of 8 MiB in it is 70 kB a second.
const ANSWER_MAX: Duration = Duration::from_secs(120);
/// How long nothing may come of a body that has begun.
const PIECE_MAX: Duration = Duration::from_secs(30);
/// The longest body that is not an object's: XML, or what stands in for it at a place that is no S3.
const REPLY_MAX: usize = 1 << 20;
/// How connections that nobody uses are kept.
const IDLE_MAX: usize = 16;
const IDLE_TIME: Duration = Duration::from_secs(30);

type Http = Client<HttpsConnector<connect::HttpConnector>, HttpRequestBody>;
type Cause = Box<dyn Error + Send + Sync>;

/// A client of one S3 service.
#[derive(Clone)]
pub(crate) struct Wire(Http);

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wire")
    }
}

impl Wire {
    /// A client with no connection yet.
    ///
    /// # Errors
    /// If the certificates of this machine cannot be read.
    pub(crate) fn new() -> io::Result<Self> {
        let mut tcp = connect::HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT_MAX));
        let tls = HttpsConnectorBuilder::new().with_native_roots()?;
        let connector = tls.https_or_http().enable_http1().wrap_connector(tcp);
        let mut builder = Client::builder(TokioExecutor::new());
        builder.pool_timer(TokioTimer::new()).pool_idle_timeout(IDLE_TIME).pool_max_idle_per_host(IDLE_MAX);
        Ok(Self(builder.build(connector)))
    }
}

impl HttpConnector for Wire {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[async_trait]
impl HttpService for Wire {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let is_read = request.method() == Method::GET;
        let answer = tokio::time::timeout(ANSWER_MAX, self.0.request(request)).await;
        let answer = answer.map_err(|_| timed_out("no answer came"))?.map_err(|error| {
            let kind = if error.is_connect() { HttpErrorKind::Connect } else { HttpErrorKind::Interrupted };
            HttpError::new(kind, Told::of(&error))
        })?;
        let is_object = is_read && answer.status().is_success();
        let (head, body) = answer.into_parts();
        let body = if is_object { watched(body) } else { watched(Limited::new(body, REPLY_MAX)) };
        Ok(Response::from_parts(head, body))
    }
}

/// A body of which every piece comes in time.
fn watched<B>(body: B) -> HttpResponseBody
where
    B: Body<Data = Bytes> + Send + Sync + Unpin + 'static,
    B::Error: Into<Cause>,
{
    let pieces = stream::unfold(Some(body), async |body| {
        let mut body = body?;
        match tokio::time::timeout(PIECE_MAX, body.frame()).await {
            Err(_) => Some((Err(timed_out("the answer broke off")), None)),
            Ok(None) => None,
            Ok(Some(Ok(frame))) => Some((Ok::<Frame<Bytes>, HttpError>(frame), Some(body))),
            Ok(Some(Err(error))) => {
                let error: Cause = error.into();
                Some((Err(HttpError::new(HttpErrorKind::Interrupted, Told::of(&*error))), None))
            }
        }
    });
    // hyper asks a body again after its end, which a stream like this does not bear.
    HttpResponseBody::new(StreamBody::new(pieces.fuse()))
}

fn timed_out(what: &str) -> HttpError {
    HttpError::new(HttpErrorKind::Timeout, Told(format!("{what} in time")))
}

/// What went wrong on the way, down to its cause: hyper's own text ends before that.
#[derive(Debug)]
struct Told(String);

impl Told {
    fn of(error: &(dyn Error + 'static)) -> Self {
        let mut cause = error;
        while let Some(deeper) = cause.source() {
            cause = deeper;
        }
        Self(cause.to_string())
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Told {}
