use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use raincheck_core::ReadySet;
use raincheck_store::StoreError;
use tokio::sync::watch;

use crate::backlog::Backlog;
use crate::names::Names;

/// What all threads of a store look at.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) ready: Arc<Mutex<ReadySet>>,
    pub(crate) names: Arc<Names>,
    /// What waits to be committed.
    pub(crate) backlog: Backlog,
    /// How many pages the WAL has.
    pub(crate) wal_pages: AtomicU32,
    /// How many of them are in the database too.
    pub(crate) wal_moved: AtomicU32,
    /// No more calls are taken.
    stopped: AtomicBool,
    /// Everything that was sent before is answered; what comes later is not done.
    drained: AtomicBool,
    /// The writer's thread is gone, and the directory free.
    ended: watch::Sender<bool>,
    /// Why the store failed, once it has.
    failure: watch::Sender<Option<String>>,
}

impl Shared {
    pub(crate) fn new() -> Self {
        Self {
            ready: Arc::default(),
            names: Arc::default(),
            backlog: Backlog::default(),
            wal_pages: AtomicU32::new(0),
            wal_moved: AtomicU32::new(0),
            stopped: AtomicBool::new(false),
            drained: AtomicBool::new(false),
            ended: watch::Sender::new(false),
            failure: watch::Sender::new(None),
        }
    }

    /// The jobs that wait. Held for a moment only.
    pub(crate) fn ready(&self) -> MutexGuard<'_, ReadySet> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Refuses calls from now on.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
    }

    /// Refuses calls from now on, because a write failed and only a restart can tell what is stored.
    pub(crate) fn fail(&self, reason: &str) {
        self.stop();
        tracing::error!(reason, "the store stops: a write failed, and what is stored is known only after a restart");
        self.failure.send_if_modified(|failure| {
            let first = failure.is_none();
            failure.get_or_insert_with(|| reason.to_owned());
            first
        });
    }

    /// An error if calls are refused.
    pub(crate) fn open(&self) -> Result<(), StoreError> {
        if self.stopped.load(Ordering::SeqCst) { Err(StoreError::Stopped) } else { Ok(()) }
    }

    /// Nothing will be done any more.
    pub(crate) fn set_drained(&self) {
        self.drained.store(true, Ordering::SeqCst);
    }

    /// What a call comes to that was dropped without an answer.
    pub(crate) fn unanswered(&self) -> StoreError {
        if self.drained.load(Ordering::SeqCst) {
            StoreError::Stopped
        } else {
            StoreError::Unknown("the writer ended".into())
        }
    }

    /// The directory is free.
    pub(crate) fn set_ended(&self) {
        self.stop();
        self.ended.send_replace(true);
    }

    /// Waits until the directory is free.
    pub(crate) async fn ended(&self) {
        // The sender is ours and lives, so this cannot fail.
        let _ = self.ended.subscribe().wait_for(|ended| *ended).await;
    }

    /// Whether a write failed.
    pub(crate) fn has_failed(&self) -> bool {
        self.failure.borrow().is_some()
    }

    /// Waits until a write has failed, and gives the reason.
    pub(crate) async fn failed(&self) -> String {
        let mut failure = self.failure.subscribe();
        // The lock is let go before anything is waited for, so that whoever watches may do so on any thread.
        let reason = failure.wait_for(Option::is_some).await.map(|reason| reason.clone().unwrap_or_default());
        match reason {
            Ok(reason) => reason,
            // The sender is ours and lives.
            Err(_) => std::future::pending().await,
        }
    }
}
