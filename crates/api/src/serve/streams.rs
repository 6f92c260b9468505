use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};

/// The streams of an HTTP/2 connection: requests that are not yet answered to the end.
#[derive(Clone, Default)]
pub(super) struct Streams(Arc<Counts>);

#[derive(Default)]
struct Counts {
    open: AtomicUsize,
    opened: AtomicUsize,
}

impl Streams {
    /// One more, until what this gives is dropped.
    pub(super) fn open(&self) -> Stream {
        self.0.open.fetch_add(1, Ordering::Relaxed);
        self.0.opened.fetch_add(1, Ordering::Relaxed);
        Stream(Arc::clone(&self.0))
    }

    /// Returns once no stream has been open for `limit`, and for less than twice that. Looks now and then instead of being
    /// told, so that requests do not pay for it.
    pub(super) async fn idle(&self, limit: Duration) {
        let look = || (self.0.open.load(Ordering::Relaxed), self.0.opened.load(Ordering::Relaxed));
        loop {
            let before = look();
            tokio::time::sleep(limit).await;
            if before.0 == 0 && look() == before {
                return;
            }
        }
    }
}

/// An open stream.
pub(super) struct Stream(Arc<Counts>);

impl Drop for Stream {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The body of an answer, which keeps its stream open until it has been sent or given up.
pub(super) struct Streamed {
    pub(super) body: Body,
    pub(super) _stream: Stream,
}

impl HttpBody for Streamed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
