use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::OpenError;

/// SQLite before this version may corrupt a WAL that several connections write to or checkpoint
/// (<https://sqlite.org/wal.html#walresetbug>).
const SQLITE_VERSION_MIN: i32 = 3_051_003;

/// How long one waits for another process that adds an API key.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The one that writes jobs, and the one that moves the WAL into the database.
    Write,
    /// One of those that read.
    Read,
}

/// Opens a connection to the database.
pub(crate) fn connect(path: &Path, purpose: Purpose) -> Result<Connection, OpenError> {
    if rusqlite::version_number() < SQLITE_VERSION_MIN {
        return Err(OpenError::Sqlite(rusqlite::version().to_owned()));
    }
    let access = match purpose {
        Purpose::Write => OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE,
        Purpose::Read => OpenFlags::SQLITE_OPEN_READ_ONLY,
    };
    let connection = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(64);
    // A page that is not what it says it is shall be found here, not somewhere behind it.
    connection.pragma_update(None, "cell_size_check", true)?;
    // A failed read of a mapped page would be a signal, not an error.
    connection.pragma_update(None, "mmap_size", 0)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    // Negative: in KiB. The writer works at the ends of its tables: more is seldom looked at, and each page that is not
    // yet full of memory costs a page fault.
    let cache_kib = if purpose == Purpose::Write { -(64 << 10) } else { -(16 << 10) };
    connection.pragma_update(None, "cache_size", cache_kib)?;
    if purpose == Purpose::Write {
        connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
        // Anything less loses acknowledged jobs at a power cut.
        connection.pragma_update(None, "synchronous", "full")?;
        // The checkpoint thread does it.
        connection.pragma_update_and_check(None, "wal_autocheckpoint", 0, |_| Ok(()))?;
    }
    Ok(connection)
}
