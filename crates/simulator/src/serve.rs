//! The sockets: plain HTTP/1.1, and connections that are cut when a fault says so.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use crate::line::{Cut, Line, Noted, Socket};
use crate::sim::Sim;

/// Connections that are open at once; more wait to be accepted.
pub const CONNECTIONS_MAX: usize = 20_000;
/// How long to wait before accepting again after that failed, for example for want of file descriptors.
const ACCEPT_RETRY_AFTER: std::time::Duration = std::time::Duration::from_millis(50);

/// Serves until the simulator stops; connections that are open then are closed.
pub(crate) async fn serve(listener: TcpListener, router: Router, sim: Arc<Sim>) {
    let connections = TaskTracker::new();
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let place = Arc::clone(&places).acquire_owned().await;
        let stream = tokio::select! {
            biased;
            () = sim.stopping.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::debug!(%error, "failed to accept a connection");
                    tokio::time::sleep(ACCEPT_RETRY_AFTER).await;
                    continue;
                }
            },
        };
        let (router, sim) = (router.clone(), Arc::clone(&sim));
        drop(connections.spawn(async move {
            let stopping = sim.stopping.clone();
            let connection = serve_one(stream, router, sim);
            let _ = stopping.run_until_cancelled(connection).await;
            drop(place);
        }));
    }
    connections.close();
    connections.wait().await;
}

async fn serve_one(stream: TcpStream, router: Router, sim: Arc<Sim>) {
    // Tokens are small and must not wait for each other.
    let _ = stream.set_nodelay(true);
    let socket = Socket::new(stream);
    let line = socket.line();
    let service = service_fn(|request| answer(request, router.clone(), Arc::clone(&sim), line.clone()));
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new());
    if let Err(error) = builder.serve_connection(TokioIo::new(socket), service).await {
        tracing::trace!(%error, "a connection ended early");
    }
}

/// # Errors
/// If the connection is to be cut.
async fn answer(
    request: Request<Incoming>,
    router: Router,
    sim: Arc<Sim>,
    line: Line,
) -> io::Result<axum::response::Response> {
    let noted = Noted::default();
    let mut request = request.map(Body::new);
    request.extensions_mut().insert(line);
    request.extensions_mut().insert(noted.clone());
    let response = router.oneshot(request).await.unwrap_or_else(|never: Infallible| match never {});
    if response.extensions().get::<Cut>().is_some() {
        return Err(io::Error::from(io::ErrorKind::ConnectionReset));
    }
    sim.requests().answered(noted.get(), response.status().as_u16());
    Ok(response)
}
