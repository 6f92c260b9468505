use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::middleware::AddExtension;
use axum::{Extension, Router};
use hyper::server::conn::{http1, http2};
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tower::Layer;

use super::patience::Patience;
use super::refusal::{NO_TLS, Refusals, TOO_SLOW};
use super::streams::{Streamed, Streams};
use crate::recipes::Peer;
use crate::websocket::Handover;
use crate::{ApiSettings, Tls, tls};

/// Headers of a request, in number.
pub(super) const HEADERS_MAX: usize = 100;
/// Headers of a request, in bytes.
pub(super) const HEADER_BYTES_MAX: u32 = 32 * 1024;
/// What is read ahead of a request, and written ahead of a client that reads slowly.
const BUFFER_BYTES_MAX: usize = 64 * 1024;
/// Requests at once on an HTTP/2 connection.
const STREAMS_MAX: u32 = 200;
/// Streams that a client may open and reset before they were looked at (rapid reset, CVE-2023-44487).
const RESET_STREAMS_MAX: usize = 20;
/// Streams that we may have to reset for a client's mistakes (CVE-2025-8671).
const ERROR_STREAMS_MAX: usize = 1_024;
/// How often a silent HTTP/2 client is asked whether it is there, and how long it may take to say so.
const PING_INTERVAL: Duration = Duration::from_secs(20);
/// What an HTTP/2 client may send ahead on a stream, and on all streams together.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// What an HTTP/2 client sends first (RFC 9113, section 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// How long to wait for the rest of what could still become HTTP/2's preface; longer each time, so that many clients which
/// send its first letter and no more cost nothing.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(10);

/// What is served on a connection, which knows from where that comes.
type Served = AddExtension<Router, Peer>;

/// What TLS begins with: a record of the handshake.
const HANDSHAKE: u8 = 0x16;

/// Serves one connection to its end. What goes wrong on it is the client's affair and not logged as ours.
pub(super) async fn serve(stream: TcpStream, router: Router, settings: Arc<ApiSettings>, closing: CancellationToken) {
    // Answers are small and written whole: there is nothing to gain from waiting for more.
    let _ = stream.set_nodelay(true);
    let from = stream.peer_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| address.ip());
    let router: Served = Extension(Peer(from)).layer(router);
    let result = match &settings.tls {
        None => serve_plain(stream, router, &settings, &closing).await,
        // Boxed, so that a connection without TLS does not pay for its size.
        Some(tls) => Box::pin(serve_tls(stream, tls, router, &settings, &closing)).await,
    };
    if let Err(error) = result {
        tracing::debug!(%error, "a connection ended early");
    }
}

async fn serve_plain(
    stream: TcpStream,
    router: Served,
    settings: &ApiSettings,
    closing: &CancellationToken,
) -> hyper::Result<()> {
    let mut begun = false;
    let version = tokio::select! {
        biased;
        version = tokio::time::timeout(settings.header_timeout, version(&stream, &mut begun)) => version,
        () = closing.cancelled() => return Ok(()),
    };
    let mut stream = Patience::new(stream, settings.write_timeout);
    match version {
        Ok(Some(Version::Http1)) => serve_http1(stream, router, settings, closing).await,
        // Boxed, so that the many connections of HTTP/1.1 do not pay for its size.
        Ok(Some(Version::Http2)) => Box::pin(serve_http2(TokioIo::new(stream), router, settings, closing)).await,
        Err(_) => {
            if begun {
                last_words(&mut stream, &TOO_SLOW).await;
            }
            Ok(())
        }
        Ok(None) => Ok(()),
    }
}

/// Who speaks no TLS is told so in plain HTTP; who fails to agree with us is told by TLS itself.
async fn serve_tls(
    mut stream: TcpStream,
    tls: &Tls,
    router: Served,
    settings: &ApiSettings,
    closing: &CancellationToken,
) -> hyper::Result<()> {
    let shaking = async {
        let mut first = [0];
        match stream.peek(&mut first).await {
            Ok(1..) if first != [HANDSHAKE] => {
                last_words(&mut stream, &NO_TLS).await;
                None
            }
            Ok(1..) => tls.acceptor().accept(Patience::new(stream, settings.write_timeout)).await.ok(),
            _ => None,
        }
    };
    let shaken = tokio::select! {
        biased;
        shaken = tokio::time::timeout(settings.header_timeout, shaking) => shaken,
        () = closing.cancelled() => return Ok(()),
    };
    let Ok(Some(stream)) = shaken else { return Ok(()) };
    if stream.get_ref().1.alpn_protocol() == Some(tls::HTTP_2) {
        serve_http2(TokioIo::new(stream), router, settings, closing).await
    } else {
        serve_http1(stream, router, settings, closing).await
    }
}

/// The last words on a connection that is given up. Never waits: what the client does not take at once it goes without.
async fn last_words(stream: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) {
    let saying = async {
        stream.write_all(bytes).await?;
        stream.flush().await
    };
    let _ = tokio::time::timeout(Duration::ZERO, saying).await;
}

async fn serve_http1<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
    stream: S,
    router: Served,
    settings: &ApiSettings,
    closing: &CancellationToken,
) -> hyper::Result<()> {
    let io = TokioIo::new(Refusals::new(stream));
    let handover = Handover::default();
    let router = Extension(handover.clone()).layer(router);
    let mut connection = http1(settings).serve_connection(io, TowerToHyperService::new(router));
    let result = tokio::select! {
        result = &mut connection => result,
        () = closing.cancelled() => {
            Pin::new(&mut connection).graceful_shutdown();
            (&mut connection).await
        }
    };
    if result.is_ok()
        && let Some(rest) = handover.take()
    {
        let parts = connection.into_parts();
        rest(Box::new(parts.io.into_inner().into_inner()), parts.read_buf.to_vec()).await;
    } else if result.as_ref().is_err_and(hyper::Error::is_timeout) {
        let parts = connection.into_parts();
        // Who has sent nothing waits for no answer: it keeps the connection for its next request.
        if !parts.read_buf.is_empty() {
            last_words(&mut parts.io.into_inner().into_inner(), &TOO_SLOW).await;
        }
    }
    result
}

/// Over HTTP/2 hyper has no limit for the head of a request or for idling: both show as a connection without a stream.
async fn serve_http2<S: AsyncRead + AsyncWrite + Unpin + 'static>(
    io: TokioIo<S>,
    router: Served,
    settings: &ApiSettings,
    closing: &CancellationToken,
) -> hyper::Result<()> {
    let (streams, service) = (Streams::default(), TowerToHyperService::new(router));
    let counted = {
        let streams = streams.clone();
        service_fn(move |request| {
            let (stream, answer) = (streams.open(), service.call(request));
            async move { Ok::<_, Infallible>(answer.await?.map(|body| Streamed { body, _stream: stream })) }
        })
    };
    let mut connection = pin!(http2().serve_connection(io, counted));
    tokio::select! {
        result = connection.as_mut() => result,
        () = closing.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
        () = streams.idle(settings.header_timeout) => {
            connection.as_mut().graceful_shutdown();
            // The client has to acknowledge that, and may be one that says nothing. What it has begun meanwhile is done.
            tokio::select! {
                result = connection => result,
                () = streams.idle(settings.header_timeout) => Ok(()),
            }
        }
    }
}

enum Version {
    Http1,
    Http2,
}

/// Which version the client speaks, by its first bytes, which are left where they are; `None` if it went away. HTTP/2 begins
/// with a preface that is no request of HTTP/1.1, and is waited for whole: hyper would wait for the rest of it for ever.
/// Tells in `begun` whether anything came.
async fn version(stream: &TcpStream, begun: &mut bool) -> Option<Version> {
    let mut first = [0; PREFACE.len()];
    let mut again = LOOK_AGAIN_AFTER;
    loop {
        match stream.peek(&mut first).await.ok()? {
            0 => return None,
            _ if first == *PREFACE => return Some(Version::Http2),
            length if PREFACE.starts_with(&first[..length]) => {
                *begun = true;
                // Peeking again would return the same at once.
                tokio::time::sleep(again).await;
                again *= 2;
            }
            _ => return Some(Version::Http1),
        }
    }
}

fn http1(settings: &ApiSettings) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(settings.header_timeout)
        .max_headers(HEADERS_MAX)
        .max_header_size(HEADER_BYTES_MAX as usize)
        .max_buf_size(BUFFER_BYTES_MAX);
    builder
}

fn http2() -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_pending_accept_reset_streams(RESET_STREAMS_MAX)
        .max_local_error_reset_streams(ERROR_STREAMS_MAX)
        .max_header_list_size(HEADER_BYTES_MAX)
        .max_send_buf_size(BUFFER_BYTES_MAX)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_INTERVAL);
    builder
}
