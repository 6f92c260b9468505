use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use rusqlite::{Connection, ErrorCode};

use crate::OpenError;
use crate::connection::{Purpose, connect};
use crate::shared::Shared;

/// So many pages (of 4 KiB) that are only in the WAL are worth moving into the database.
const PAGES_MOVE: u32 = 4_000;
/// So long the WAL may be before it should begin anew. It can only when all of it is moved, and as long as the writer goes
/// on writing, the other thread never quite arrives at the end: so the writer moves the last few itself.
const PAGES_RESTART: u32 = 12_000;
/// So few of them are moved within milliseconds.
const PAGES_LAST: u32 = 1_000;
/// Longer the WAL must not be (256 MiB), however long the writer has to stop for it.
const PAGES_MAX: u32 = 65_536;

/// Moves what is committed from the WAL into the database, in a thread of its own: the writer would hold up everybody.
pub(crate) struct Checkpointer {
    busy: Arc<AtomicBool>,
    orders: SyncSender<()>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpointer {
    /// Starts the thread.
    pub(crate) fn start(path: &Path, file: &Arc<File>, shared: &Arc<Shared>) -> Result<Self, OpenError> {
        let connection = connect(path, Purpose::Write)?;
        let busy = Arc::new(AtomicBool::new(false));
        let (orders, received) = sync_channel(1);
        let work = {
            let (busy, file, shared) = (Arc::clone(&busy), Arc::clone(file), Arc::clone(shared));
            move || serve(&connection, &file, &received, &busy, &shared)
        };
        let thread = std::thread::Builder::new().name("raincheck-checkpoint".into()).spawn(work);
        let thread = thread.map_err(|error| OpenError::Database(error.to_string()))?;
        Ok(Self { busy, orders, thread: Some(thread) })
    }

    /// Called by the writer between two transactions.
    pub(crate) fn after_commit(&self, connection: &Connection, shared: &Shared) {
        let pages = shared.wal_pages.load(Ordering::Relaxed);
        if pages < PAGES_MOVE || self.busy.load(Ordering::Acquire) {
            return;
        }
        // If more is moved than there is, the WAL has begun anew.
        let moved = shared.wal_moved.load(Ordering::Relaxed);
        let left = pages.checked_sub(moved).unwrap_or(pages);
        if pages >= PAGES_MAX || (pages >= PAGES_RESTART && left <= PAGES_LAST) {
            checkpoint(connection, "PASSIVE", shared);
        } else if pages >= PAGES_RESTART || left >= PAGES_MOVE {
            self.busy.store(true, Ordering::Release);
            // There is room: it is not busy. If it has ended, the WAL grows until the writer does it.
            if self.orders.try_send(()).is_err() {
                self.busy.store(false, Ordering::Release);
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

fn serve(connection: &Connection, file: &File, orders: &Receiver<()>, busy: &AtomicBool, shared: &Shared) {
    while orders.recv().is_ok() {
        checkpoint(connection, "PASSIVE", shared);
        // SQLite syncs the database only once all of the WAL is moved, which is the writer's part: it should find little to
        // sync, for everybody waits for it.
        if let Err(error) = file.sync_data() {
            shared.fail(&format!("a sync of the database failed: {error}"));
        }
        busy.store(false, Ordering::Release);
    }
}

/// Moves what can be moved.
pub(crate) fn checkpoint(connection: &Connection, mode: &str, shared: &Shared) {
    let moved = |row: &rusqlite::Row<'_>| row.get::<_, i64>(2);
    match connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], moved) {
        Ok(moved) => shared.wal_moved.store(u32::try_from(moved).unwrap_or(0), Ordering::Relaxed),
        // Tried again later; until then the WAL keeps it.
        Err(error) if crate::fault::is_full(&error) || error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {
            tracing::warn!(%error, "a checkpoint is put off");
        }
        // After a failed sync nobody knows which pages are on the disk: a later one that succeeds proves nothing.
        Err(error) => shared.fail(&format!("a checkpoint failed: {error}")),
    }
}
