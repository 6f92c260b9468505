use std::error::Error;
use std::io::ErrorKind;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Uri;
use hyper_rustls::{HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, Error as HttpError};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, Service, ServiceExt, service_fn};

use crate::exit::{Exit, Failure};
use raincheck_recipes::duration;

type Stream = MaybeHttpsStream<TokioIo<TcpStream>>;
type Connector = BoxCloneSyncService<Uri, Stream, BoxError>;

/// The HTTP client underneath.
pub(crate) type Http = Client<Connector, Full<Bytes>>;

/// Nothing came of a connection in time.
#[derive(Debug, thiserror::Error)]
#[error("no connection within {}", duration::show(*.0))]
struct TooSlow(Duration);

/// A client whose connections, TLS included, are made within `limit`.
///
/// # Errors
/// If the certificates of this machine cannot be read.
pub(crate) fn client(tls: bool, limit: Duration) -> Result<Http, Failure> {
    let connector = if tls { with_tls()? } else { plain() };
    let in_time = service_fn(move |uri: Uri| {
        let mut connector = connector.clone();
        async move {
            let connected = async { connector.ready().await?.call(uri).await };
            tokio::time::timeout(limit, connected).await.map_err(|_| BoxError::from(TooSlow(limit)))?
        }
    });
    Ok(Client::builder(TokioExecutor::new()).build(BoxCloneSyncService::new(in_time)))
}

fn tcp() -> HttpConnector {
    let mut tcp = HttpConnector::new();
    tcp.set_nodelay(true);
    // Notices within a minute that the machine at the other end is gone, while nothing is said for long.
    tcp.set_keepalive(Some(Duration::from_secs(30)));
    tcp.set_keepalive_interval(Some(Duration::from_secs(10)));
    tcp.set_keepalive_retries(Some(3));
    tcp.enforce_http(false);
    tcp
}

fn plain() -> Connector {
    BoxCloneSyncService::new(tcp().map_response(MaybeHttpsStream::Http).map_err(BoxError::from))
}

fn with_tls() -> Result<Connector, Failure> {
    let tls = HttpsConnectorBuilder::new().with_native_roots().map_err(|error| {
        Failure::new(Exit::Unreachable, format!("the certificates of this machine cannot be read: {error}"))
            .hint("install them: apt-get install ca-certificates")
    })?;
    Ok(BoxCloneSyncService::new(tls.https_or_http().enable_http1().wrap_connector(tcp())))
}

/// What a person can make of a failed request.
pub(crate) fn failure(error: &HttpError, server: &str) -> Failure {
    let causes: Vec<&dyn Error> = std::iter::successors(error.source(), |error| (*error).source()).collect();
    let kind = causes.iter().find_map(|cause| cause.downcast_ref::<std::io::Error>()).map(std::io::Error::kind);
    let deepest = causes.last().map_or_else(|| error.to_string(), ToString::to_string);
    let unreachable = |message: String| Failure::new(Exit::Unreachable, message);
    match kind {
        Some(ErrorKind::ConnectionRefused) => unreachable(format!("nothing listens at {server}"))
            .hint("is the server running? start it with `raincheck serve`, or say where it is with --server URL"),
        _ if error.is_connect() => unreachable(format!("cannot connect to {server}: {deepest}")),
        _ => unreachable(format!("the connection to {server} broke off: {deepest}")),
    }
}
