use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use rusqlite::{Connection, ErrorCode};

use crate::OpenError;
use crate::connection::{Purpose, connect};
use crate::shared::Shared;

/// With so many pages (of 4 KiB) in the WAL, they begin to be moved into the database.
const PAGES_BEGIN: u32 = 4_000;
/// With so many, the writer itself moves the last of them: as long as it goes on writing, the other thread never quite
/// arrives at the end, and the WAL cannot begin anew.
const PAGES_RESTART: u32 = 12_000;

/// Moves what is committed from the WAL into the database, in a thread of its own: the writer would hold up everybody.
pub(crate) struct Checkpointer {
    busy: Arc<AtomicBool>,
    orders: SyncSender<()>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpointer {
    /// Starts the thread.
    pub(crate) fn start(path: &Path, shared: &Arc<Shared>) -> Result<Self, OpenError> {
        let connection = connect(path, Purpose::Write)?;
        let busy = Arc::new(AtomicBool::new(false));
        let (orders, received) = sync_channel(1);
        let work = {
            let (busy, shared) = (Arc::clone(&busy), Arc::clone(shared));
            move || serve(&connection, &received, &busy, &shared)
        };
        let thread = std::thread::Builder::new().name("raincheck-checkpoint".into()).spawn(work);
        let thread = thread.map_err(|error| OpenError::Database(error.to_string()))?;
        Ok(Self { busy, orders, thread: Some(thread) })
    }

    /// Called by the writer between two transactions.
    pub(crate) fn after_commit(&self, connection: &Connection, shared: &Shared) {
        let pages = shared.wal_pages.load(Ordering::Relaxed);
        if pages < PAGES_BEGIN || self.busy.load(Ordering::Acquire) {
            return;
        }
        if pages >= PAGES_RESTART {
            checkpoint(connection, "PASSIVE", shared);
        } else {
            self.busy.store(true, Ordering::Release);
            match self.orders.try_send(()) {
                Ok(()) | Err(TrySendError::Full(())) => {}
                Err(TrySendError::Disconnected(())) => self.busy.store(false, Ordering::Release),
            }
        }
    }

    /// Ends the thread.
    pub(crate) fn stop(self) {
        drop(self.orders);
        if let Some(thread) = self.thread {
            // If it panicked, that is logged, and what it had to do is done at the next start.
            let _ = thread.join();
        }
    }
}

fn serve(connection: &Connection, orders: &Receiver<()>, busy: &AtomicBool, shared: &Shared) {
    while orders.recv().is_ok() {
        checkpoint(connection, "PASSIVE", shared);
        busy.store(false, Ordering::Release);
    }
}

/// Moves what can be moved.
pub(crate) fn checkpoint(connection: &Connection, mode: &str, shared: &Shared) {
    let result = connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |_| Ok(()));
    match result {
        Ok(()) => {}
        // Tried again later; until then the WAL keeps it.
        Err(error) if crate::fault::is_full(&error) || error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {
            tracing::warn!(%error, "a checkpoint is put off");
        }
        // After a failed sync nobody knows which pages are on the disk: a later one that succeeds proves nothing.
        Err(error) => shared.fail(&format!("a checkpoint failed: {error}")),
    }
}
