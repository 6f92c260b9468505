//! A stream that more than one may read: the caller for whom it was made, and the same caller once more.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use axum::body::Bytes;
use futures_util::Stream;
use tokio::sync::watch;

use super::live::Waiter;
use crate::PassedBody;

/// So many bytes of a stream are kept for somebody who attaches to it. Once it is longer it can no longer be attached to, and
/// whoever reads it together with another may lag behind by so much.
const REPLAY_MAX: usize = 256 << 10;
/// And so many of all streams together.
const REPLAYS_MAX: usize = 64 << 20;

/// How a stream stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// It comes, and is there from its beginning.
    Running,
    /// It is there from its beginning to its end.
    Ended,
    /// Nobody can read it from its beginning any more.
    Lost,
}

/// A stream, and what of it has come. Whoever reads it drives it: while nobody does, the upstream waits.
pub(super) struct Replay {
    core: Mutex<Core>,
    phase: watch::Sender<Phase>,
    /// What all streams keep.
    kept: Arc<AtomicUsize>,
}

struct Core {
    /// What is still to come; `None` once that is nothing.
    pieces: Option<PassedBody>,
    recent: VecDeque<Bytes>,
    /// How many pieces came before those that are kept.
    gone: usize,
    bytes: usize,
    end: Option<Result<(), String>>,
    wakers: Vec<Waker>,
}

impl Replay {
    /// Nothing of it has been read. `kept` counts the bytes of all of them.
    pub(super) fn new(pieces: PassedBody, kept: Arc<AtomicUsize>) -> Self {
        let core =
            Core { pieces: Some(pieces), recent: VecDeque::new(), gone: 0, bytes: 0, end: None, wakers: Vec::new() };
        Self { core: Mutex::new(core), phase: watch::Sender::new(Phase::Running), kept }
    }

    fn core(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until it no longer just comes.
    pub(super) async fn settled(&self) -> Phase {
        let mut phase = self.phase.subscribe();
        // The sender is ours: it is there as long as we are.
        phase.wait_for(|phase| *phase != Phase::Running).await.map_or(Phase::Lost, |phase| *phase)
    }

    /// Ends it: the upstream makes no more of it.
    pub(super) fn give_up(&self) {
        self.phase.send_replace(Phase::Lost);
        drop(self.core().pieces.take());
    }

    /// Keeps a piece for others, if it can.
    fn keep(&self, core: &mut Core, piece: &Bytes, is_shared: bool) {
        let is_lost = *self.phase.borrow() == Phase::Lost;
        if !is_lost || is_shared {
            core.recent.push_back(piece.clone());
            core.bytes += piece.len();
            let all = self.kept.fetch_add(piece.len(), Ordering::Relaxed) + piece.len();
            if core.bytes > REPLAY_MAX || all > REPLAYS_MAX {
                self.phase.send_replace(Phase::Lost);
            }
        } else {
            core.gone += 1;
        }
        if *self.phase.borrow() == Phase::Lost {
            // One reader alone has all that came; several may be apart by as much as is kept.
            let most = if is_shared { REPLAY_MAX } else { 0 };
            while core.bytes > most
                && let Some(oldest) = core.recent.pop_front()
            {
                core.gone += 1;
                core.bytes -= oldest.len();
                self.kept.fetch_sub(oldest.len(), Ordering::Relaxed);
            }
        }
    }
}

impl Drop for Replay {
    fn drop(&mut self) {
        let bytes = self.core().bytes;
        self.kept.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Somebody who reads a stream from its beginning.
pub(super) struct Reader {
    replay: Arc<Replay>,
    /// `None` if nobody else can find the stream.
    waiter: Option<Waiter>,
    next: usize,
    is_over: bool,
}

impl Reader {
    /// Reads it from its first piece.
    pub(super) fn new(replay: Arc<Replay>, waiter: Option<Waiter>) -> Self {
        Self { replay, waiter, next: 0, is_over: false }
    }
}

type Piece = <PassedBody as Stream>::Item;

impl Stream for Reader {
    type Item = Piece;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Piece>> {
        let Self { replay, waiter, next, is_over } = self.get_mut();
        if *is_over {
            return Poll::Ready(None);
        }
        let core = &mut *replay.core();
        let Some(place) = next.checked_sub(core.gone) else {
            *is_over = true;
            return Poll::Ready(Some(Err("this reader of the stream fell too far behind another".into())));
        };
        if let Some(piece) = core.recent.get(place) {
            *next += 1;
            return Poll::Ready(Some(Ok(piece.clone())));
        }
        let told = match (&core.end, &mut core.pieces) {
            (None, Some(pieces)) => match pieces.as_mut().poll_next(context) {
                Poll::Pending => {
                    if !core.wakers.iter().any(|waker| waker.will_wake(context.waker())) {
                        core.wakers.push(context.waker().clone());
                    }
                    return Poll::Pending;
                }
                Poll::Ready(Some(Ok(piece))) => {
                    replay.keep(core, &piece, waiter.as_ref().is_some_and(Waiter::is_in_company));
                    *next += 1;
                    Some(piece)
                }
                Poll::Ready(last) => {
                    core.pieces = None;
                    let broken = last.and_then(Result::err);
                    let phase = if broken.is_some() { Phase::Lost } else { Phase::Ended };
                    core.end = Some(broken.map_or(Ok(()), |error| Err(error.to_string())));
                    replay
                        .phase
                        .send_if_modified(|now| *now == Phase::Running && std::mem::replace(now, phase) != phase);
                    None
                }
            },
            (None, None) => {
                core.end = Some(Err("the call was given up".to_owned()));
                None
            }
            (Some(_), _) => None,
        };
        // The upstream wakes who asked it last; the others are woken here.
        core.wakers.drain(..).filter(|waker| !waker.will_wake(context.waker())).for_each(Waker::wake);
        if let Some(piece) = told {
            return Poll::Ready(Some(Ok(piece)));
        }
        *is_over = true;
        waiter.iter().for_each(Waiter::take);
        Poll::Ready(core.end.clone().and_then(Result::err).map(|error| Err(error.into())))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let has_some = self.next > 0 && !self.is_over;
        let ends_with_it = |waiter: &Waiter| waiter.ends_with_it() && !waiter.is_in_company();
        if has_some && self.waiter.as_ref().is_none_or(ends_with_it) {
            // SDKs ask again for what has not begun, and not in the middle: this caller wants no more of it.
            return self.replay.give_up();
        }
        // Whoever waits for a piece that this one asked for has to ask by itself.
        self.replay.core().wakers.drain(..).for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, StatusCode};
    use futures_util::{StreamExt, stream};

    use super::*;
    use crate::dialect::live::{Answer, Calls, Content, Joined};
    use crate::dialect::{Request, live};

    const PIECE: usize = 16 << 10;

    fn pieces(count: usize) -> PassedBody {
        stream::iter((0..count).map(|_| Ok(Bytes::from(vec![b'x'; PIECE])))).boxed()
    }

    /// Somebody who reads the stream of a call that is sent again and again.
    async fn reader(calls: &Calls, replay: &Arc<Replay>) -> Option<Reader> {
        let mut headers = HeaderMap::new();
        headers.insert("x-stainless-retry-count", "1".parse().unwrap());
        let request = Request::new("key", "/path", b"body", &headers);
        let content = Content::Stream(Arc::clone(replay));
        let made = async move { Ok(Answer { status: StatusCode::OK, headers: HeaderMap::new(), content }) };
        let Joined { answer, waiter, .. } = calls.join(request, made).await.ok().unwrap();
        let live::Content::Stream(replay) = answer.content else { panic!("it is a stream") };
        Some(Reader::new(replay, waiter))
    }

    #[tokio::test]
    async fn so_much_is_kept_and_no_more() {
        let kept = Arc::<AtomicUsize>::default();
        let replay = Arc::new(Replay::new(pieces(100), Arc::clone(&kept)));
        let mut reader = Reader::new(Arc::clone(&replay), None);
        for _ in 0..REPLAY_MAX / PIECE {
            reader.next().await.unwrap().unwrap();
        }
        assert_eq!((kept.load(Ordering::Relaxed), *replay.phase.borrow()), (REPLAY_MAX, Phase::Running));
        assert_eq!(
            reader.by_ref().map(|piece| piece.unwrap().len()).fold(0, async |sum, len| sum + len).await,
            84 * PIECE
        );
        assert_eq!((kept.load(Ordering::Relaxed), *replay.phase.borrow()), (0, Phase::Lost));
    }

    #[tokio::test]
    async fn who_reads_beside_another_may_lag_behind_by_so_much() {
        let (calls, kept) = (Calls::default(), Arc::<AtomicUsize>::default());
        let replay = Arc::new(Replay::new(pieces(100), Arc::clone(&kept)));
        let [fast, near, far] = [(); 3].map(|()| reader(&calls, &replay));
        let (mut fast, mut near, mut far) = (fast.await.unwrap(), near.await.unwrap(), far.await.unwrap());
        far.next().await.unwrap().unwrap();
        for number in 0..100 {
            fast.next().await.unwrap().unwrap();
            if number >= 8 {
                near.next().await.unwrap().unwrap();
            }
            assert!(kept.load(Ordering::Relaxed) <= REPLAY_MAX + PIECE);
        }
        assert!(fast.next().await.is_none());
        assert_eq!(near.map(Result::unwrap).count().await, 8);
        let behind = far.next().await.unwrap().unwrap_err();
        assert!(behind.to_string().contains("too far behind"), "{behind}");
        assert!(far.next().await.is_none());
        drop((fast, far, replay));
    }

    #[tokio::test]
    async fn so_much_of_all_streams_together_is_kept() {
        let kept = Arc::new(AtomicUsize::new(REPLAYS_MAX));
        let replay = Arc::new(Replay::new(pieces(2), Arc::clone(&kept)));
        let mut reader = Reader::new(Arc::clone(&replay), None);
        reader.next().await.unwrap().unwrap();
        assert_eq!((kept.load(Ordering::Relaxed), *replay.phase.borrow()), (REPLAYS_MAX, Phase::Lost));
    }
}
