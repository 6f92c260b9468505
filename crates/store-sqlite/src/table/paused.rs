use raincheck_core::QueueName;
use rusqlite::Connection;

/// Notes that claiming from a queue is stopped, or no longer is.
pub(crate) fn set(connection: &Connection, queue: &QueueName, paused: bool) -> rusqlite::Result<()> {
    let sql = if paused { "INSERT OR IGNORE INTO paused VALUES (?1)" } else { "DELETE FROM paused WHERE queue = ?1" };
    connection.prepare_cached(sql)?.execute([queue.as_str()]).map(drop)
}

/// The queues from which claiming is stopped.
pub(crate) fn all(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    connection.prepare("SELECT queue FROM paused")?.query_map([], |row| row.get(0))?.collect()
}
