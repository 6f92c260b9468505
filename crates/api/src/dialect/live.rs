use std::collections::HashMap;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use raincheck_core::ProblemType;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use super::Request;
use super::replay::{Phase, Replay};
use crate::PassedBody;
use crate::problem::ApiError;

/// Calls at once that can be attached to; those beyond are made all the same, each for its own caller, unless a key says that
/// they may be made once only.
const LIVE_MAX: usize = 4_096;
/// How long a call goes on whose caller has gone: SDKs ask again within about 8 seconds.
const ALONE_MAX: Duration = Duration::from_secs(30);
/// How long an answer is kept that nobody took, or that has a key.
const KEPT: Duration = Duration::from_secs(120);
/// So many of them, at most.
const KEPT_MAX: usize = 1_024;
/// With so many bytes in all; those of streams are counted by [`Replay`].
const KEPT_BYTES_MAX: usize = 64 << 20;

/// An upstream's answer.
#[derive(Clone)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) content: Content,
}

/// What an answer has besides its head.
#[derive(Clone)]
pub(super) enum Content {
    /// All of it.
    Whole(Bytes),
    /// It comes piece by piece.
    Stream(Arc<Replay>),
}

type Told = Result<Answer, ApiError>;

/// The calls that are under way for somebody who waits. An SDK that lost its connection and asks again is given the call that
/// is being made already, instead of paying for a second; and so is whoever sends the same `Idempotency-Key` again.
#[derive(Clone, Default)]
pub(crate) struct Calls(Arc<Inner>);

#[derive(Default)]
struct Inner {
    live: Mutex<Table>,
    tasks: TaskTracker,
    kept: AtomicUsize,
    kept_bytes: AtomicUsize,
    /// What streams keep.
    replayed: Arc<AtomicUsize>,
}

/// The calls that are found by their names.
#[derive(Default)]
struct Table {
    by_name: HashMap<String, Vec<Arc<Live>>>,
    count: usize,
}

impl Table {
    /// Those of a name that somebody can still attach to.
    fn open(&self, name: &str) -> impl Iterator<Item = &Arc<Live>> {
        self.by_name.get(name).into_iter().flatten().filter(|call| !call.is_lost())
    }

    fn add(&mut self, name: &str, live: &Arc<Live>) {
        self.by_name.entry(name.to_owned()).or_default().push(Arc::clone(live));
        self.count += 1;
    }

    /// Forgets a call, if it is there.
    fn forget(&mut self, name: &str, live: &Arc<Live>) {
        let Some(calls) = self.by_name.get_mut(name) else { return };
        let before = calls.len();
        calls.retain(|call| !Arc::ptr_eq(call, live));
        self.count -= before - calls.len();
        if calls.is_empty() {
            self.by_name.remove(name);
        }
    }
}

/// One call.
struct Live {
    answer: watch::Sender<Option<Told>>,
    waiters: watch::Sender<usize>,
    /// Somebody was given the whole answer.
    taken: watch::Sender<bool>,
    /// What a request under the same key has to be the same as; `None` if it has no key.
    fingerprint: Option<u128>,
}

/// Somebody who waits for a call, for as long as this is not dropped.
pub(super) struct Waiter(Arc<Live>);

impl Waiter {
    fn new(live: &Arc<Live>) -> Self {
        live.waiters.send_modify(|waiters| *waiters += 1);
        Self(Arc::clone(live))
    }

    async fn answer(&self) -> Told {
        let mut answer = self.0.answer.subscribe();
        // The sender is ours, and whoever makes the call leaves no call without an answer.
        let told = answer.wait_for(Option::is_some).await.ok().and_then(|told| told.clone());
        let told = told.unwrap_or_else(|| Err(gone()));
        if !matches!(&told, Ok(Answer { content: Content::Stream(_), .. })) {
            self.take();
        }
        told
    }

    /// It has the whole answer.
    pub(super) fn take(&self) {
        self.0.taken.send_replace(true);
    }

    /// Whether somebody else waits, too.
    pub(super) fn is_in_company(&self) -> bool {
        *self.0.waiters.borrow() > 1
    }

    /// Whether nobody will ask for it again who has gone in the middle of a stream.
    pub(super) fn ends_with_it(&self) -> bool {
        self.0.fingerprint.is_none()
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.0.waiters.send_modify(|waiters| *waiters -= 1);
    }
}

impl Live {
    fn new(fingerprint: Option<u128>) -> Self {
        let (answer, taken) = (watch::Sender::new(None), watch::Sender::new(false));
        Self { answer, waiters: watch::Sender::new(0), taken, fingerprint }
    }

    fn is_alone(&self) -> bool {
        *self.waiters.borrow() == 0
    }

    /// Whether its answer is a stream that nobody can read from its beginning any more.
    fn is_lost(&self) -> bool {
        matches!(&*self.answer.borrow(), Some(Ok(Answer { content: Content::Stream(replay), .. })) if replay.is_lost())
    }

    /// Waits until nobody has waited for so long.
    async fn abandoned(&self) {
        let mut waiters = self.waiters.subscribe();
        loop {
            // The sender is ours: it is there as long as we are.
            let _ = waiters.wait_for(|waiters| *waiters == 0).await;
            if tokio::time::timeout(ALONE_MAX, waiters.wait_for(|waiters| *waiters > 0)).await.is_err() {
                return;
            }
        }
    }
}

/// Where a request stands beside those that are under way.
enum Place {
    /// It is one of them once more.
    Again(Waiter),
    /// It is a call of its own, which others may attach to.
    First(Arc<Live>, Waiter),
    /// It is a call of its own, and there are too many to attach to.
    Apart,
}

/// What a request is answered with.
pub(super) struct Joined {
    pub(super) answer: Answer,
    /// For as long as it is read.
    pub(super) waiter: Option<Waiter>,
    /// It was made for an earlier request.
    pub(super) is_replayed: bool,
}

impl Calls {
    fn live(&self) -> MutexGuard<'_, Table> {
        self.0.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A stream that others can attach to.
    pub(super) fn replay(&self, pieces: PassedBody) -> Arc<Replay> {
        Arc::new(Replay::new(pieces, Arc::clone(&self.0.replayed)))
    }

    /// Makes a call, or waits for one of the same name that is being made, if this is the same request once more. The call
    /// goes on for a while when its caller has gone.
    pub(super) async fn join<F>(&self, request: Request, call: F) -> Result<Joined, ApiError>
    where
        F: Future<Output = Told> + Send + 'static,
    {
        let (waiter, is_replayed) = match self.place(&request)? {
            Place::Apart => return Ok(Joined { answer: call.await?, waiter: None, is_replayed: false }),
            Place::Again(waiter) => (waiter, true),
            Place::First(live, waiter) => {
                let under_way = UnderWay { calls: self.clone(), name: request.name, live };
                drop(self.0.tasks.spawn(async move { under_way.run(call).await }));
                (waiter, false)
            }
        };
        let answer = waiter.answer().await?;
        Ok(Joined { answer, waiter: Some(waiter), is_replayed })
    }

    fn place(&self, request: &Request) -> Result<Place, ApiError> {
        let mut all = self.live();
        if let Some(fingerprint) = request.fingerprint {
            if let Some(call) = all.open(&request.name).next() {
                let is_same = call.fingerprint == Some(fingerprint);
                return if is_same { Ok(Place::Again(Waiter::new(call))) } else { Err(reused()) };
            }
        } else if request.is_repeated {
            // One that was left alone first: its caller is most likely the one who asks again.
            let open = || all.open(&request.name).filter(|call| !*call.taken.borrow());
            if let Some(call) = open().find(|call| call.is_alone()).or_else(|| open().next()) {
                return Ok(Place::Again(Waiter::new(call)));
            }
        }
        if all.count >= LIVE_MAX {
            return if request.fingerprint.is_some() { Err(too_many()) } else { Ok(Place::Apart) };
        }
        let live = Arc::new(Live::new(request.fingerprint));
        all.add(&request.name, &live);
        let waiter = Waiter::new(&live);
        Ok(Place::First(live, waiter))
    }
}

/// A call that is being made, and then its answer while it is kept. Nobody finds it once this is dropped.
struct UnderWay {
    calls: Calls,
    name: String,
    live: Arc<Live>,
}

impl UnderWay {
    async fn run(self, call: impl Future<Output = Told>) {
        let mut call = pin!(call);
        let told = loop {
            tokio::select! {
                told = &mut call => break told,
                () = self.live.abandoned() => if self.leave_alone() { return },
            }
        };
        let kept = told.as_ref().ok().map(|answer| answer.content.clone());
        self.live.answer.send_replace(Some(told));
        match kept {
            // Whoever asks under the same key again may be luckier.
            None if self.live.fingerprint.is_some() => {}
            None => self.keep(0).await,
            Some(Content::Whole(body)) => self.keep(body.len()).await,
            Some(Content::Stream(replay)) => loop {
                tokio::select! {
                    phase = replay.settled() => {
                        if phase == Phase::Ended {
                            self.keep(0).await;
                        }
                        return;
                    }
                    () = self.live.abandoned() => if self.leave_alone() { return replay.give_up() },
                }
            },
        }
    }

    /// Takes it from where it is found, unless somebody has attached to it at the last moment.
    fn leave_alone(&self) -> bool {
        let mut all = self.calls.live();
        let is_alone = self.live.is_alone();
        if is_alone {
            all.forget(&self.name, &self.live);
        }
        is_alone
    }

    /// Keeps an answer until somebody has taken it, or for those who come with its key; but not for long, and not too many.
    async fn keep(&self, bytes: usize) {
        let inner = &self.calls.0;
        let count = inner.kept.fetch_add(1, Ordering::Relaxed);
        let all_bytes = inner.kept_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let has_room = count < KEPT_MAX && all_bytes <= KEPT_BYTES_MAX;
        let _kept = Kept(inner, bytes);
        let mut taken = self.live.taken.subscribe();
        let taken = taken.wait_for(|taken| *taken);
        match self.live.fingerprint {
            Some(_) if has_room => tokio::time::sleep(KEPT).await,
            _ if has_room || !self.live.is_alone() => drop(tokio::time::timeout(KEPT, taken).await),
            _ => {}
        }
    }
}

/// An answer that counts as kept.
struct Kept<'a>(&'a Inner, usize);

impl Drop for Kept<'_> {
    fn drop(&mut self) {
        self.0.kept.fetch_sub(1, Ordering::Relaxed);
        self.0.kept_bytes.fetch_sub(self.1, Ordering::Relaxed);
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.calls.live().forget(&self.name, &self.live);
        // Should the call have come to nothing at all, nobody waits for ever.
        self.live.answer.send_if_modified(|told| told.is_none() && told.replace(Err(gone())).is_none());
    }
}

/// The task that made the call has ended without an answer, which it does not.
fn gone() -> ApiError {
    ApiError::new(ProblemType::INTERNAL, "the call was given up")
}

fn reused() -> ApiError {
    let detail =
        "this Idempotency-Key was sent with another request a short while ago; use a new key for a new request";
    ApiError::new(ProblemType::IDEMPOTENCY_KEY_REUSED, detail)
}

fn too_many() -> ApiError {
    let detail = "too many calls are under way for this one to be made once only; come back after Retry-After";
    ApiError::new(ProblemType::OVERLOADED, detail).retry_after(Duration::from_secs(1))
}

#[cfg(test)]
mod tests {
    use raincheck_core::Tenant;

    use super::*;
    use crate::jobs::IdempotencyKey;

    #[test]
    fn so_many_calls_can_be_attached_to_also_if_all_are_the_same() {
        let calls = Calls::default();
        let request = || Request::new("key", "/path", b"body", &HeaderMap::new());
        let places: Vec<Place> = (0..LIVE_MAX).map(|_| calls.place(&request()).ok().unwrap()).collect();
        assert!(places.iter().all(|place| matches!(place, Place::First(..))));
        assert!(matches!(calls.place(&request()), Ok(Place::Apart)));
        // One that may be made once only is not made at all.
        let tenant: Tenant = "voice".parse().unwrap();
        let keyed = request().under(&IdempotencyKey::given("order-1"), &tenant);
        let refused = calls.place(&keyed).err().unwrap();
        assert!(refused.problem().is(ProblemType::OVERLOADED) && refused.wait().is_some());
        let Some(Place::First(live, _waiter)) = places.into_iter().next() else { panic!("a call of its own") };
        calls.live().forget(&request().name, &live);
        assert!(matches!(calls.place(&keyed), Ok(Place::First(..))));
    }
}
