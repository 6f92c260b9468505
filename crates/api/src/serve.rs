use std::io;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use axum::Router;
use raincheck_core::ProblemType;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::ApiSettings;
use crate::problem::ApiError;

mod connection;
mod patience;
mod refusal;
mod streams;

/// How long to wait before accepting again after it failed, for example because the process has no file descriptor left.
const ACCEPT_RETRY_AFTER: Duration = Duration::from_millis(50);

/// When to come back to a server with as many connections as it takes: one that is done with is closed within seconds.
const TOO_MANY_RETRY_AFTER: Duration = Duration::from_secs(2);

/// What a connection above the limit is told, before it is closed.
static TOO_MANY: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let detail = "as many connections are open as the server takes; come back in a few seconds";
    ApiError::new(ProblemType::OVERLOADED, detail).retry_after(TOO_MANY_RETRY_AFTER).bytes()
});

/// Serves connections until `closing` is cancelled, and then until the requests under way have ended, but no longer than
/// [`ApiSettings::stop_grace`].
///
/// Speaks HTTP/1.1, and HTTP/2 to clients that begin with its preface; within TLS if [`ApiSettings::tls`] says so, where ALPN
/// tells them apart. Every connection is bounded in what it may send
/// and how slowly, so that a bad client harms only itself.
///
/// # Errors
/// None so far: a connection that cannot be accepted is waited for.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    settings: Arc<ApiSettings>,
    closing: CancellationToken,
) -> io::Result<()> {
    let places = Arc::new(Semaphore::new(settings.connections_max));
    let connections = TaskTracker::new();
    loop {
        let stream = tokio::select! {
            biased;
            () = closing.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    accept_failed(&error).await;
                    continue;
                }
            },
        };
        match Arc::clone(&places).try_acquire_owned() {
            Ok(place) => {
                let connection = connection::serve(stream, router.clone(), Arc::clone(&settings), closing.clone());
                drop(connections.spawn(hold(place, connection)));
            }
            Err(_) => turn_away(stream).await,
        }
    }
    drop(listener);
    connections.close();
    if tokio::time::timeout(settings.stop_grace, connections.wait()).await.is_err() {
        tracing::warn!(connections = connections.len(), "closing connections whose requests have not ended");
    }
    Ok(())
}

async fn hold(_place: OwnedSemaphorePermit, connection: impl Future<Output = ()>) {
    connection.await;
}

/// A connection that broke before it was accepted says nothing of the next; anything else (file descriptors, memory) needs
/// a moment to get better.
async fn accept_failed(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    if !matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) {
        tracing::warn!(%error, "failed to accept a connection");
        tokio::time::sleep(ACCEPT_RETRY_AFTER).await;
    }
}

/// Never waits: a fresh socket takes so few bytes at once, or the client does without them.
async fn turn_away(mut stream: TcpStream) {
    let _ = tokio::time::timeout(Duration::ZERO, stream.write_all(&TOO_MANY)).await;
}
