use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderName};
use axum::response::Response;
use bytes::BytesMut;
use futures_util::Stream;
use tokio::time::Instant;

use crate::PassedBody;
use crate::reply::unbuffered;

/// Pieces that are there at once are passed on together, up to so many bytes.
const GATHERED_BYTES_MAX: usize = 16 * 1024;
/// And once one has been kept back for so long, no more are gathered.
const GATHERED_FOR_MAX: Duration = Duration::from_millis(1);

/// Those of the headers that are wanted.
pub(crate) fn picked(headers: &HeaderMap, is_wanted: impl Fn(&HeaderName) -> bool) -> HeaderMap {
    headers.iter().filter(|(name, _)| is_wanted(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// An upstream's answer, passed on piece by piece as it comes, with those of its headers that are given back.
pub(crate) fn passed_on(answer: Response<PassedBody>, is_given_back: impl Fn(&HeaderName) -> bool) -> Response {
    let (parts, pieces) = answer.into_parts();
    let mut response = Response::new(Body::from_stream(Gathered::new(pieces)));
    *response.status_mut() = parts.status;
    *response.headers_mut() = picked(&parts.headers, is_given_back);
    unbuffered(response)
}

/// Pieces as they come, but those that are there at once together.
pub(super) fn gathered(pieces: PassedBody) -> impl Stream<Item = <PassedBody as Stream>::Item> {
    Gathered::new(pieces)
}

/// Pieces as they come, but those that have come already in one. Every piece by itself would be a write of its own, which costs
/// more than all else that is done with it; nothing is waited for.
struct Gathered {
    pieces: PassedBody,
    held: BytesMut,
    /// When the first of what is held came.
    since: Option<Instant>,
    /// What may be there has to be handed over by another task first, which is given this turn for it.
    turn: Option<Arc<Turn>>,
    /// What comes behind what is held: the end, or why there is none.
    last: Option<Option<<PassedBody as Stream>::Item>>,
}

impl Gathered {
    fn new(pieces: PassedBody) -> Self {
        Self { pieces, held: BytesMut::new(), since: None, turn: None, last: None }
    }

    fn take(&mut self) -> Bytes {
        (self.since, self.turn) = (None, None);
        self.held.split().freeze()
    }

    fn others_had_their_turn(&mut self, waker: &Waker) -> bool {
        let turn = self.turn.take_if(|turn| turn.waker.will_wake(waker));
        let turn = turn.unwrap_or_else(|| Turn::begin(waker));
        let is_over = turn.is_over.load(Ordering::Acquire);
        self.turn = Some(turn);
        is_over
    }

    fn is_enough(&self) -> bool {
        self.held.len() >= GATHERED_BYTES_MAX || self.since.is_some_and(|since| since.elapsed() >= GATHERED_FOR_MAX)
    }
}

impl Stream for Gathered {
    type Item = <PassedBody as Stream>::Item;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if !self.held.is_empty() && (self.last.is_some() || self.is_enough()) {
                return Poll::Ready(Some(Ok(self.take())));
            }
            if let Some(last) = &mut self.last {
                // Behind that there is nothing.
                return Poll::Ready(last.take());
            }
            match self.pieces.as_mut().poll_next(context) {
                Poll::Ready(Some(Ok(piece))) if self.held.is_empty() && piece.len() >= GATHERED_BYTES_MAX => {
                    return Poll::Ready(Some(Ok(piece)));
                }
                Poll::Ready(Some(Ok(piece))) => {
                    self.since.get_or_insert_with(Instant::now);
                    self.held.extend_from_slice(&piece);
                    self.turn = None;
                }
                Poll::Ready(last) => self.last = Some(last),
                Poll::Pending if self.held.is_empty() => return Poll::Pending,
                Poll::Pending if self.others_had_their_turn(context.waker()) => {
                    return Poll::Ready(Some(Ok(self.take())));
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

/// A turn of all tasks that can run now. That this one is polled again says nothing of it: hyper does so several times in a row.
struct Turn {
    is_over: AtomicBool,
    waker: Waker,
}

impl Turn {
    /// Begins one; the task of this waker is woken at its end.
    fn begin(waker: &Waker) -> Arc<Self> {
        let turn = Arc::new(Self { is_over: AtomicBool::new(false), waker: waker.clone() });
        let woken = Waker::from(Arc::clone(&turn));
        // The runtime has the waker now; the future is not needed any more.
        let _ = pin!(tokio::task::yield_now()).poll(&mut Context::from_waker(&woken));
        turn
    }
}

impl Wake for Turn {
    fn wake(self: Arc<Self>) {
        self.is_over.store(true, Ordering::Release);
        self.waker.wake_by_ref();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt, StreamExt, stream};

    use super::*;

    type Piece = <PassedBody as Stream>::Item;

    fn piece(text: &str) -> Piece {
        Ok(Bytes::copy_from_slice(text.as_bytes()))
    }

    async fn all(pieces: impl Stream<Item = Piece> + Send + 'static) -> Vec<String> {
        let text = |piece: Piece| match piece {
            Ok(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
            Err(error) => format!("({error})"),
        };
        Gathered::new(pieces.boxed()).map(text).collect().await
    }

    #[tokio::test]
    async fn what_is_there_goes_together() {
        assert_eq!(all(stream::iter(["a", "b", "c"].map(piece))).await, ["abc"]);
        assert_eq!(all(stream::iter([piece("a"), piece("b"), Err("cut".into())])).await, ["ab", "(cut)"]);
        assert_eq!(all(stream::iter([])).await, [""; 0]);
        let large = "x".repeat(GATHERED_BYTES_MAX);
        assert_eq!(all(stream::iter([piece(&large), piece("a")])).await, [&large, "a"]);
        assert_eq!(all(stream::iter([piece("a"), piece(&large), piece("b")])).await, [&format!("a{large}"), "b"]);
    }

    #[tokio::test]
    async fn what_another_task_hands_over_goes_together_and_nothing_is_waited_for() {
        let (sender, receiver) = tokio::sync::mpsc::channel(1);
        let pieces = stream::unfold(receiver, async |mut receiver| Some((receiver.recv().await?, receiver)));
        let mut gathered = Gathered::new(pieces.boxed());
        assert!(gathered.next().now_or_never().is_none());
        sender.send(piece("a")).await.unwrap();
        // As hyper does, which says nothing of other tasks.
        let mut is_pending = |context: &mut Context<'_>| gathered.poll_next_unpin(context).is_pending();
        assert!(
            std::future::poll_fn(|context| Poll::Ready([0; 20].map(|_| is_pending(context))))
                .await
                .iter()
                .all(|is| *is)
        );
        assert_eq!(gathered.next().await.unwrap().unwrap(), "a");
        // The channel holds one: the others come while the first is looked at.
        let sending = async move {
            for text in ["b", "c", "d"] {
                sender.send(piece(text)).await.unwrap();
            }
        };
        let ((), rest) = tokio::join!(biased; sending, gathered.map(Result::unwrap).collect::<Vec<_>>());
        assert_eq!(rest, ["bcd"]);
    }
}
