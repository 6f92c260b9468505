use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Instant;

use raincheck_store::{Observer, StoreError};
use rusqlite::ErrorCode;

use crate::checkpoint::Checkpointer;
use crate::directory::Directory;
use crate::fault::Fault;
use crate::shared::Shared;
use crate::work::AnyCall;
use crate::writer::Writer;

/// How many calls share one transaction at most.
const BATCH_MAX: usize = 4_096;
/// How many bytes they hold at most, so that a commit does not take too long.
const BATCH_BYTES_MAX: usize = 8 << 20;

/// What the writer is sent.
pub(crate) enum Message {
    Call(Box<dyn AnyCall>),
    /// Commit what came before, and end.
    Close,
}

/// Group commit: takes what waits, runs it in one transaction, and answers all callers after its one sync.
pub(crate) struct Committer<'a> {
    pub(crate) writer: Writer<'a>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) checkpointer: Checkpointer,
    pub(crate) directory: &'a Directory,
    pub(crate) free_space_min: u64,
    /// The last that was logged of the disk.
    pub(crate) full: bool,
}

/// Why a transaction was not committed.
enum Setback {
    /// One of its calls cannot be done, and knows it. The others can.
    Refused,
    /// The disk is full: nothing was done.
    Full,
    /// Another process has been writing for longer than we wait: nothing was done.
    Busy,
    /// Nobody knows what is stored.
    Unknown(rusqlite::Error),
}

impl Committer<'_> {
    /// Serves calls until it is told to close, everybody who could call is gone, or a write has failed.
    pub(crate) fn run(&mut self, calls: &Receiver<Message>) {
        let mut batch = Vec::new();
        let mut open = true;
        while open && let Ok(first) = calls.recv() {
            let begun = now();
            open = gather(first, calls, &mut batch);
            self.commit(&mut batch);
            let bytes = batch.iter().map(|call| call.bytes()).sum();
            self.shared.backlog.remove(batch.len(), bytes);
            self.shared.backlog.observe(batch.len(), begun.elapsed());
            batch.drain(..).for_each(AnyCall::answer);
            if self.shared.has_failed() {
                break;
            }
            self.checkpointer.after_commit(self.writer.tables.connection, &self.shared);
        }
        self.shared.stop();
        // Those who called while we stopped: nothing was done for them.
        for message in calls.try_iter() {
            if let Message::Call(mut call) = message {
                call.refuse(StoreError::Stopped);
                call.answer();
            }
        }
    }

    /// Commits a batch, or settles for each of its calls why not.
    fn commit(&mut self, batch: &mut [Box<dyn AnyCall>]) {
        if batch.iter().any(|call| call.accepts()) && !self.has_space() {
            self.set_full(true);
            refuse(batch, &StoreError::Full, |call| call.accepts());
        }
        while batch.iter().any(|call| !call.is_refused()) {
            match self.attempt(batch) {
                Ok(()) => {
                    // Little is needed to finish a job: only a new one tells that there is room.
                    if batch.iter().any(|call| call.accepts() && !call.is_refused()) {
                        self.set_full(false);
                    }
                    break;
                }
                Err(Setback::Refused) => {}
                Err(Setback::Full) => {
                    self.set_full(true);
                    // Those that run may finish, which needs little: they are tried again without the new jobs.
                    let accepts = batch.iter().any(|call| call.accepts() && !call.is_refused());
                    refuse(batch, &StoreError::Full, |call| call.accepts() || !accepts);
                }
                Err(Setback::Busy) => {
                    tracing::warn!("another process holds the database");
                    refuse(batch, &StoreError::OVERLOADED, |_| true);
                }
                Err(Setback::Unknown(error)) => {
                    self.shared.fail(&error.to_string());
                    refuse(batch, &StoreError::Unknown(error.to_string()), |_| true);
                }
            }
        }
    }

    fn attempt(&mut self, batch: &mut [Box<dyn AnyCall>]) -> Result<(), Setback> {
        let names = self.writer.numbers.len();
        let result = self.transact(batch);
        match result {
            Ok(()) => {
                self.writer.memory.commit();
                if !self.writer.changes.is_empty() {
                    self.observer.committed(&self.writer.changes);
                    self.writer.changes.clear();
                }
            }
            Err(_) => {
                self.writer.changes.clear();
                self.writer.tables.idempotency.discard();
                self.writer.memory.roll_back();
                self.writer.numbers.truncate(names);
            }
        }
        result
    }

    fn transact(&mut self, batch: &mut [Box<dyn AnyCall>]) -> Result<(), Setback> {
        let connection = self.writer.tables.connection;
        if self.writer.uncommitted {
            return self.run_all(batch);
        }
        execute(connection, "BEGIN IMMEDIATE").map_err(|error| match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy) => Setback::Busy,
            _ => Setback::Unknown(error),
        })?;
        let result = self.run_all(batch).and_then(|()| match execute(connection, "COMMIT") {
            Ok(()) => Ok(()),
            Err(error) if crate::fault::is_full(&error) => Err(Setback::Full),
            Err(error) => Err(Setback::Unknown(error)),
        });
        // SQLite has already rolled back after some errors.
        if result.is_err() && !connection.is_autocommit() {
            execute(connection, "ROLLBACK").map_err(Setback::Unknown)?;
        }
        result
    }

    fn run_all(&mut self, batch: &mut [Box<dyn AnyCall>]) -> Result<(), Setback> {
        for call in batch.iter_mut().filter(|call| !call.is_refused()) {
            match call.run(&mut self.writer) {
                Ok(()) => {}
                Err(fault) if fault.is_full() => return Err(Setback::Full),
                Err(Fault::Failed(error)) => return Err(Setback::Unknown(error)),
                Err(Fault::Refused(error)) => {
                    call.refuse(error);
                    return Err(Setback::Refused);
                }
            }
        }
        self.writer
            .tables
            .idempotency
            .flush()
            .map_err(|error| if crate::fault::is_full(&error) { Setback::Full } else { Setback::Unknown(error) })
    }

    /// Logs when the disk becomes full and when it has room again, not what is refused in between.
    fn set_full(&mut self, full: bool) {
        if self.full == full {
            return;
        }
        self.full = full;
        if full {
            tracing::warn!("the disk is full: new jobs are refused");
        } else {
            tracing::info!("the disk has room again");
        }
    }

    fn has_space(&self) -> bool {
        self.directory.free_space().is_none_or(|free| free >= self.free_space_min)
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "how long a commit takes is told to who comes too early, and decides nothing"
)]
fn now() -> Instant {
    Instant::now()
}

/// Collects what waits, within the bounds of a batch; whether there will be more.
fn gather(first: Message, calls: &Receiver<Message>, batch: &mut Vec<Box<dyn AnyCall>>) -> bool {
    let mut bytes = 0;
    let mut next = Some(first);
    while let Some(message) = next {
        match message {
            Message::Close => return false,
            Message::Call(call) => {
                bytes += call.bytes();
                batch.push(call);
            }
        }
        next = if batch.len() < BATCH_MAX && bytes < BATCH_BYTES_MAX { calls.try_recv().ok() } else { None };
    }
    true
}

fn refuse(batch: &mut [Box<dyn AnyCall>], error: &StoreError, which: impl Fn(&dyn AnyCall) -> bool) {
    for call in batch.iter_mut().filter(|call| !call.is_refused()) {
        if which(&**call) {
            call.refuse(error.clone());
        }
    }
}

fn execute(connection: &rusqlite::Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute([]).map(drop)
}
