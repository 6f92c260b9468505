use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use crate::OpenError;

/// "Rain", in the header of the file, so that `file` and others can tell whose it is.
const APPLICATION_ID: i32 = 0x5261_696e;

/// Each brings the schema from the version of its index to the next one. Those that were released never change.
const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001_initial.sql"),
    include_str!("migrations/0002_lane.sql"),
    include_str!("migrations/0003_webhook.sql"),
    include_str!("migrations/0004_concurrency_key.sql"),
    include_str!("migrations/0005_parent.sql"),
    include_str!("migrations/0006_conversation.sql"),
];

/// The version of the schema that this program reads and writes.
fn known() -> u32 {
    u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX)
}

/// Brings the schema up to date. Only with the directory locked: a running server must not be moved under.
pub(crate) fn migrate(connection: &mut Connection, path: &Path) -> Result<(), OpenError> {
    let found = version(connection, path)?;
    if found > known() {
        return Err(OpenError::Newer { found, known: known() });
    }
    for (version, sql) in (1..).zip(MIGRATIONS).skip(usize::try_from(found).unwrap_or(usize::MAX)) {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(sql)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", version)?;
        transaction.commit()?;
    }
    Ok(())
}

/// Makes sure that the schema is the one that this program knows.
pub(crate) fn require(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    match version(connection, path)? {
        found if found > known() => Err(OpenError::Newer { found, known: known() }),
        found if found < known() => Err(OpenError::Older { found, known: known() }),
        _ => Ok(()),
    }
}

/// The version of the schema of the file; 0 if it is empty.
fn version(connection: &Connection, path: &Path) -> Result<u32, OpenError> {
    let version: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let application: i32 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let empty = version == 0 && application == 0 && tables == 0;
    if empty || application == APPLICATION_ID { Ok(version) } else { Err(OpenError::Foreign { path: path.to_owned() }) }
}
