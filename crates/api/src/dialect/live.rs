use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use super::Request;
use crate::problem::ApiError;

/// Calls at once that can be attached to; those beyond are made all the same, each for its own caller.
const LIVE_MAX: usize = 4_096;
/// How long a call goes on whose caller has gone: SDKs ask again within about 8 seconds.
const ALONE_MAX: Duration = Duration::from_secs(30);
/// How long the answer is kept that nobody took.
const KEPT: Duration = Duration::from_secs(120);
/// So many of them, at most.
const KEPT_MAX: usize = 64;

/// An upstream's answer, whole.
#[derive(Clone, Debug)]
pub(super) struct Whole {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

type Told = Result<Whole, ApiError>;

/// The calls that are under way for somebody who waits. An SDK that lost its connection and asks again is given the call that
/// is being made already, instead of paying for a second.
#[derive(Clone, Default)]
pub(crate) struct Calls(Arc<Inner>);

#[derive(Default)]
struct Inner {
    live: Mutex<HashMap<String, Vec<Arc<Live>>>>,
    tasks: TaskTracker,
    kept: AtomicUsize,
}

/// One call.
struct Live {
    answer: watch::Sender<Option<Told>>,
    waiters: watch::Sender<usize>,
    /// Somebody was given the answer.
    taken: watch::Sender<bool>,
}

/// Somebody who waits for a call, for as long as this is not dropped.
struct Waiter(Arc<Live>);

impl Waiter {
    fn new(live: &Arc<Live>) -> Self {
        live.waiters.send_modify(|waiters| *waiters += 1);
        Self(Arc::clone(live))
    }

    async fn answer(&self) -> Option<Told> {
        let mut answer = self.0.answer.subscribe();
        let told = answer.wait_for(Option::is_some).await.ok()?.clone();
        self.0.taken.send_replace(true);
        told
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.0.waiters.send_modify(|waiters| *waiters -= 1);
    }
}

impl Live {
    fn is_alone(&self) -> bool {
        *self.waiters.borrow() == 0
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

impl Calls {
    fn live(&self) -> MutexGuard<'_, HashMap<String, Vec<Arc<Live>>>> {
        self.0.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a call, or waits for one of the same name that is being made, if this is the same request once more. The call
    /// goes on for a while when its caller has gone.
    pub(super) async fn join<F>(&self, Request { name, is_repeated }: Request, call: F) -> Told
    where
        F: Future<Output = Told> + Send + 'static,
    {
        if is_repeated
            && let Some(waiter) = self.attach(&name)
            && let Some(told) = waiter.answer().await
        {
            return told;
        }
        let Some(live) = self.enter(&name) else { return call.await };
        let waiter = Waiter::new(&live);
        let calls = self.clone();
        drop(self.0.tasks.spawn(async move { calls.run(name, live, call).await }));
        match waiter.answer().await {
            Some(told) => told,
            None => Err(gone()),
        }
    }

    /// One that was left alone first: its caller is most likely the one who asks again.
    fn attach(&self, name: &str) -> Option<Waiter> {
        let live = self.live();
        let open = || live.get(name).into_iter().flatten().filter(|call| !*call.taken.borrow());
        let call = open().find(|call| call.is_alone()).or_else(|| open().next());
        call.map(Waiter::new)
    }

    fn enter(&self, name: &str) -> Option<Arc<Live>> {
        let mut live = self.live();
        if live.len() >= LIVE_MAX {
            return None;
        }
        let call =
            Live { answer: watch::Sender::new(None), waiters: watch::Sender::new(0), taken: watch::Sender::new(false) };
        let call = Arc::new(call);
        live.entry(name.to_owned()).or_default().push(Arc::clone(&call));
        Some(call)
    }

    async fn run(&self, name: String, live: Arc<Live>, call: impl Future<Output = Told>) {
        tokio::select! {
            told = call => {
                live.answer.send_replace(Some(told));
                self.keep(&live).await;
            }
            () = live.abandoned() => {}
        }
        let mut all = self.live();
        if let Some(calls) = all.get_mut(&name) {
            calls.retain(|call| !Arc::ptr_eq(call, &live));
            if calls.is_empty() {
                all.remove(&name);
            }
        }
    }

    /// Keeps an answer until somebody has taken it, but not for long, and not too many.
    async fn keep(&self, live: &Live) {
        let mut taken = live.taken.subscribe();
        if self.0.kept.fetch_add(1, Ordering::Relaxed) < KEPT_MAX || !live.is_alone() {
            let _ = tokio::time::timeout(KEPT, taken.wait_for(|taken| *taken)).await;
        }
        self.0.kept.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The task that made the call has ended without an answer, which it does not.
fn gone() -> ApiError {
    ApiError::new(raincheck_core::ProblemType::INTERNAL, "the call was given up")
}
