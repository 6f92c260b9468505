use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use raincheck_store::StoreError;
use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::OpenError;
use crate::connection::{Purpose, connect};
use crate::fault::Fault;

/// How many reads may wait; one more is refused as overload.
const QUEUE: usize = 1_024;
/// How many lists may wait: each takes far longer than a read of one job.
const LIST_QUEUE: usize = 128;

type Read = Box<dyn FnOnce(&Connection) + Send>;

/// Threads that read, each over a connection of its own.
pub(crate) struct Readers {
    reads: SyncSender<Read>,
    /// For a thread of their own: what is asked of one job never waits for them.
    lists: SyncSender<Read>,
}

impl Readers {
    /// Starts so many threads, and the one for lists. They end when this is dropped.
    pub(crate) fn start(path: &Path, count: usize) -> Result<Self, OpenError> {
        Ok(Self { reads: serve_by(path, "read", count.max(1), QUEUE)?, lists: serve_by(path, "list", 1, LIST_QUEUE)? })
    }

    /// Reads, all at one point in time: everything that was committed when it began.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        ask(&self.reads, read).await
    }

    /// As [`Readers::read`], for what looks at many jobs.
    pub(crate) async fn list<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        ask(&self.lists, read).await
    }
}

/// Starts so many threads behind one queue.
fn serve_by(path: &Path, name: &str, count: usize, queue: usize) -> Result<SyncSender<Read>, OpenError> {
    let (reads, waiting) = sync_channel::<Read>(queue);
    let waiting = Arc::new(Mutex::new(waiting));
    for number in 0..count {
        let connection = connect(path, Purpose::Read)?;
        let waiting = Arc::clone(&waiting);
        let thread = std::thread::Builder::new().name(format!("raincheck-{name}-{number}"));
        thread.spawn(move || serve(&connection, &waiting)).map_err(|error| OpenError::Database(error.to_string()))?;
    }
    Ok(reads)
}

async fn ask<T: Send + 'static>(
    reads: &SyncSender<Read>,
    read: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
) -> Result<T, StoreError> {
    let (caller, answer) = oneshot::channel();
    let read: Read = Box::new(move |connection| {
        // Nobody waits for it any more.
        if !caller.is_closed() {
            drop(caller.send(snapshot(connection, read)));
        }
    });
    reads.try_send(read).map_err(|error| match error {
        std::sync::mpsc::TrySendError::Full(_) => StoreError::OVERLOADED,
        std::sync::mpsc::TrySendError::Disconnected(_) => StoreError::Stopped,
    })?;
    answer.await.map_err(|_| StoreError::Stopped)?.map_err(|fault| match fault {
        Fault::Refused(error) => error,
        Fault::Failed(error) => crate::fault::unreadable(error),
    })
}

fn serve(connection: &Connection, waiting: &Mutex<Receiver<Read>>) {
    loop {
        let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(read) = next else { break };
        read(connection);
    }
}

fn snapshot<T>(connection: &Connection, read: impl FnOnce(&Connection) -> Result<T, Fault>) -> Result<T, Fault> {
    connection.prepare_cached("BEGIN")?.execute([])?;
    let result = read(connection);
    connection.prepare_cached("COMMIT")?.execute([])?;
    result
}
