use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;

use raincheck_store::Observer;
use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::checkpoint::{Checkpointer, checkpoint};
use crate::commit::{Committer, Message};
use crate::connection::{Purpose, connect};
use crate::directory::{Directory, database};
use crate::fault::Fault;
use crate::memory::Memory;
use crate::names::Numbers;
use crate::reader::Readers;
use crate::shared::Shared;
use crate::table::Tables;
use crate::writer::Writer;
use crate::{OpenError, Options, load, schema};

/// What the writer's thread is made of.
pub(crate) struct Start {
    pub(crate) options: Options,
    pub(crate) shared: Arc<Shared>,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) calls: Receiver<Message>,
    /// Is told when calls are served, or why they are not.
    pub(crate) opened: oneshot::Sender<Result<Readers, OpenError>>,
}

impl Start {
    /// The life of the writer's thread: opens, serves, closes.
    pub(crate) fn run(self) {
        let ended = Ended(Arc::clone(&self.shared));
        let Self { options, shared, observer, calls, opened } = self;
        let (directory, file, connection) = match open(&options, &shared) {
            Ok(open) => open,
            Err(error) => return drop(opened.send(Err(error))),
        };
        let server = Server { directory: &directory, file: &file, options: &options, shared: &shared };
        server.serve(&connection, observer, &calls, opened);
        if !shared.has_failed() {
            checkpoint(&connection, "TRUNCATE", &shared);
        }
        // The order matters: who waits for the end may open the directory at once.
        drop(connection);
        drop(file);
        drop(directory);
        shared.set_drained();
        drop(calls);
        drop(ended);
    }
}

struct Server<'a> {
    directory: &'a Directory,
    file: &'a Arc<File>,
    options: &'a Options,
    shared: &'a Arc<Shared>,
}

impl Server<'_> {
    fn serve(
        &self,
        connection: &Connection,
        observer: Arc<dyn Observer>,
        calls: &Receiver<Message>,
        opened: oneshot::Sender<Result<Readers, OpenError>>,
    ) {
        let (writer, checkpointer, readers) = match self.parts(connection) {
            Ok(parts) => parts,
            Err(error) => return drop(opened.send(Err(error))),
        };
        let mut committer = Committer {
            writer,
            shared: Arc::clone(self.shared),
            observer,
            checkpointer,
            directory: self.directory,
            free_space_min: self.options.free_space_min,
            full: false,
        };
        if opened.send(Ok(readers)).is_ok() {
            committer.run(calls);
        }
        committer.checkpointer.stop();
    }

    fn parts<'c>(&self, connection: &'c Connection) -> Result<(Writer<'c>, Checkpointer, Readers), OpenError> {
        let unreadable = |fault| match fault {
            Fault::Refused(error) => OpenError::Database(error.to_string()),
            Fault::Failed(error) => OpenError::from(error),
        };
        let mut tables = Tables::prepare(connection)?;
        let mut numbers = Numbers::new(Arc::clone(&self.shared.names));
        load::names(connection, &mut numbers).map_err(unreadable)?;
        let mut memory = Memory::new(Arc::clone(&self.shared.ready), load::newest(connection)?);
        load::memory(&mut tables, &mut numbers, &mut memory).map_err(unreadable)?;
        let database = database(&self.options.path);
        let checkpointer = Checkpointer::start(&database, self.file, self.shared)?;
        let readers = Readers::start(&database, self.options.readers)?;
        let writer = Writer {
            tables,
            memory,
            numbers,
            limits: self.options.limits,
            uncommitted: self.options.uncommitted,
            reply: None,
            changes: Vec::new(),
        };
        Ok((writer, checkpointer, readers))
    }
}

/// Says that the thread has ended, however it did.
struct Ended(Arc<Shared>);

impl Drop for Ended {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail("the writer panicked");
        }
        self.0.set_ended();
    }
}

/// Opens the database, and its file once more to sync it. Whoever closes a file loses all locks that the process has on it,
/// so that is done last.
fn open(options: &Options, shared: &Arc<Shared>) -> Result<(Directory, Arc<File>, Connection), OpenError> {
    let directory = Directory::lock(&options.path)?;
    let database = database(&options.path);
    let mut connection = connect(&database, Purpose::Write)?;
    schema::migrate(&mut connection, &database)?;
    let file = File::open(&database).map_err(|error| OpenError::Database(error.to_string()))?;
    let shared = Arc::clone(shared);
    connection.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, pages: i32| {
        shared.wal_pages.store(u32::try_from(pages).unwrap_or(0), Ordering::Relaxed);
        Ok(())
    }))?;
    Ok((directory, Arc::new(file), connection))
}
