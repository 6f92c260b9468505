//! A stream that more than one may read: the caller for whom it was made, and the same caller once more.

use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use axum::body::Bytes;
use futures_util::Stream;
use tokio::sync::watch;

use super::live::Waiter;
use crate::PassedBody;

/// So many bytes of a stream are kept for somebody who attaches to it. Once it is longer it can no longer be attached to.
const REPLAY_MAX: usize = 256 << 10;
/// Whoever reads it together with another may lag behind by so much: who attaches at the last moment, by as much again.
const LAG_MAX: usize = 2 * REPLAY_MAX;
/// And so many of all streams together. Where there are more, no stream that goes on is kept for anybody.
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
    /// Who waits for a piece, by the number of the reader.
    wakers: BTreeMap<u64, Waker>,
    /// How many have begun to read it.
    readers: u64,
}

/// What it takes to keep a piece.
fn cost(piece: &Bytes) -> usize {
    piece.len() + size_of::<Bytes>()
}

impl Core {
    /// Wakes everybody who waits for a piece, but for this reader.
    fn wake_others(&mut self, number: u64) {
        self.wakers.remove(&number);
        self.wake_all();
    }

    fn wake_all(&mut self) {
        std::mem::take(&mut self.wakers).into_values().for_each(Waker::wake);
    }
}

impl Replay {
    /// Nothing of it has been read. `kept` counts the bytes of all of them.
    pub(super) fn new(pieces: PassedBody, kept: Arc<AtomicUsize>) -> Self {
        let core = Core {
            pieces: Some(pieces),
            recent: VecDeque::new(),
            gone: 0,
            bytes: 0,
            end: None,
            wakers: BTreeMap::new(),
            readers: 0,
        };
        Self { core: Mutex::new(core), phase: watch::Sender::new(Phase::Running), kept }
    }

    fn core(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nobody can read it from its beginning any more.
    pub(super) fn is_lost(&self) -> bool {
        *self.phase.borrow() == Phase::Lost
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
        let mut core = self.core();
        drop(core.pieces.take());
        // Somebody may have attached to it at the last moment, whom the upstream wakes no more.
        core.wake_all();
    }

    /// Keeps a piece for others, if it can.
    fn keep(&self, core: &mut Core, piece: &Bytes, is_shared: bool) {
        core.recent.push_back(piece.clone());
        core.bytes += cost(piece);
        let all = self.kept.fetch_add(cost(piece), Ordering::Relaxed) + cost(piece);
        if core.bytes > REPLAY_MAX || all > REPLAYS_MAX {
            self.phase.send_replace(Phase::Lost);
        }
        if self.is_lost() {
            // One reader alone has all that came; several may be apart by as much as is kept.
            let most = if is_shared && all <= REPLAYS_MAX { LAG_MAX } else { 0 };
            while core.bytes > most
                && let Some(oldest) = core.recent.pop_front()
            {
                core.gone += 1;
                core.bytes -= cost(&oldest);
                self.kept.fetch_sub(cost(&oldest), Ordering::Relaxed);
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
    number: u64,
    next: usize,
    is_over: bool,
}

impl Reader {
    /// Reads it from its first piece.
    pub(super) fn new(replay: Arc<Replay>, waiter: Option<Waiter>) -> Self {
        if waiter.is_none() {
            replay.phase.send_replace(Phase::Lost);
        }
        let number = {
            let mut core = replay.core();
            core.readers += 1;
            core.readers
        };
        Self { replay, waiter, number, next: 0, is_over: false }
    }
}

type Piece = <PassedBody as Stream>::Item;

impl Stream for Reader {
    type Item = Piece;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Piece>> {
        let Self { replay, waiter, number, next, is_over } = self.get_mut();
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
                    core.wakers.insert(*number, context.waker().clone());
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
        core.wake_others(*number);
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
        // Whoever waits for a piece that this one asked for has to ask by itself.
        self.replay.core().wake_others(self.number);
        let has_some = self.next > 0 && !self.is_over;
        let ends_with_it = |waiter: &Waiter| waiter.ends_with_it() && !waiter.is_in_company();
        if has_some && self.waiter.as_ref().is_none_or(ends_with_it) {
            // SDKs ask again for what has not begun, and not in the middle: this caller wants no more of it.
            self.replay.give_up();
        }
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

    /// What a piece takes.
    const COST: usize = PIECE + size_of::<Bytes>();

    fn state(replay: &Replay) -> (usize, Phase) {
        (replay.kept.load(Ordering::Relaxed), *replay.phase.borrow())
    }

    #[tokio::test]
    async fn so_much_is_kept_and_no_more() {
        let (calls, kept) = (Calls::default(), Arc::<AtomicUsize>::default());
        let replay = Arc::new(Replay::new(pieces(100), Arc::clone(&kept)));
        let mut reader = reader(&calls, &replay).await.unwrap();
        let most = REPLAY_MAX / COST;
        for _ in 0..most {
            reader.next().await.unwrap().unwrap();
        }
        assert_eq!(state(&replay), (most * COST, Phase::Running));
        assert_eq!(reader.by_ref().map(Result::unwrap).count().await, 100 - most);
        assert_eq!(state(&replay), (0, Phase::Lost));
    }

    #[tokio::test]
    async fn the_upstream_waits_for_who_reads_slowly() {
        let (calls, taken) = (Calls::default(), Arc::<AtomicUsize>::default());
        let counted = Arc::clone(&taken);
        let pieces = pieces(100).inspect(move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
        });
        let replay = Arc::new(Replay::new(pieces.boxed(), Arc::default()));
        let mut slow = reader(&calls, &replay).await.unwrap();
        for number in 1..=100 {
            slow.next().await.unwrap().unwrap();
            tokio::task::yield_now().await;
            assert_eq!(taken.load(Ordering::Relaxed), number);
        }
        assert!(slow.next().await.is_none());
    }

    #[tokio::test]
    async fn nothing_is_kept_of_what_nobody_can_attach_to() {
        let replay = Arc::new(Replay::new(pieces(2), Arc::default()));
        let mut reader = Reader::new(Arc::clone(&replay), None);
        reader.next().await.unwrap().unwrap();
        assert_eq!(state(&replay), (0, Phase::Lost));
        assert_eq!(reader.map(Result::unwrap).count().await, 1);
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
            assert!(kept.load(Ordering::Relaxed) <= LAG_MAX);
        }
        assert!(fast.next().await.is_none());
        assert_eq!(near.map(Result::unwrap).count().await, 8);
        let behind = far.next().await.unwrap().unwrap_err();
        assert!(behind.to_string().contains("too far behind"), "{behind}");
        assert!(far.next().await.is_none());
        drop((fast, far, replay));
        tokio::task::yield_now().await;
        assert_eq!(kept.load(Ordering::Relaxed), 0, "what is forgotten takes no room");
    }

    #[tokio::test]
    async fn who_attaches_at_the_last_moment_has_as_much_again_before_it_is_too_late() {
        let calls = Calls::default();
        let replay = Arc::new(Replay::new(pieces(100), Arc::default()));
        let mut first = reader(&calls, &replay).await.unwrap();
        for _ in 0..REPLAY_MAX / COST {
            first.next().await.unwrap().unwrap();
        }
        let mut late = reader(&calls, &replay).await.unwrap();
        for _ in 0..REPLAY_MAX / COST {
            first.next().await.unwrap().unwrap();
        }
        assert_eq!(late.by_ref().take(100).map(Result::unwrap).count().await, 100);
    }

    #[tokio::test]
    async fn so_much_of_all_streams_together_is_kept() {
        let (calls, kept) = (Calls::default(), Arc::new(AtomicUsize::new(REPLAYS_MAX)));
        let replay = Arc::new(Replay::new(pieces(3), Arc::clone(&kept)));
        let mut first = reader(&calls, &replay).await.unwrap();
        let mut second = reader(&calls, &replay).await.unwrap();
        for _ in 0..2 {
            first.next().await.unwrap().unwrap();
            assert_eq!(state(&replay), (REPLAYS_MAX, Phase::Lost), "not for those who read it together, either");
        }
        second.next().await.unwrap().unwrap_err();
        assert_eq!(first.map(Result::unwrap).count().await, 1);
    }

    #[tokio::test]
    async fn a_stream_that_breaks_breaks_for_all_who_read_it_and_is_not_attached_to() {
        let calls = Calls::default();
        let broken = stream::iter([Ok(Bytes::from_static(b"a")), Err("cut".into())]).boxed();
        let replay = Arc::new(Replay::new(broken, Arc::default()));
        let (first, second) = (reader(&calls, &replay).await.unwrap(), reader(&calls, &replay).await.unwrap());
        for reader in [first, second] {
            let told: Vec<_> = reader.map(|piece| piece.map_err(|error| error.to_string())).collect().await;
            assert_eq!(told, [Ok(Bytes::from_static(b"a")), Err("cut".to_owned())]);
        }
        assert!(replay.is_lost());
    }

    #[tokio::test]
    async fn a_reader_is_woken_by_another_that_goes_or_reads_on() {
        use futures_util::FutureExt;
        let calls = Calls::default();
        let (sender, receiver) = tokio::sync::mpsc::channel(4);
        let pieces = stream::unfold(receiver, async |mut receiver| Some((receiver.recv().await?, receiver)));
        let replay =
            Arc::new(Replay::new(pieces.map(|text: &'static str| Ok(Bytes::from(text))).boxed(), Arc::default()));
        let mut readers = Vec::new();
        for _ in 0..3 {
            readers.push(reader(&calls, &replay).await.unwrap());
        }
        let mut third = readers.pop().unwrap();
        #[expect(clippy::disallowed_methods, reason = "the test waits for them")]
        let waiting: Vec<_> =
            readers.into_iter().map(|reader| tokio::spawn(reader.map(Result::unwrap).collect::<Vec<_>>())).collect();
        tokio::task::yield_now().await;
        // The last that asked is whom the upstream wakes; and it goes.
        assert!(third.next().now_or_never().is_none());
        drop(third);
        for text in ["a", "b"] {
            sender.send(text).await.unwrap();
        }
        drop(sender);
        for told in waiting {
            assert_eq!(told.await.unwrap(), ["a", "b"]);
        }
        assert_eq!(replay.core().wakers.len(), 0);
    }
}
