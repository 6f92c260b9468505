use rusqlite::{Connection, params};

/// Stores a name under its number.
pub(crate) fn insert(connection: &Connection, id: i64, name: &str) -> rusqlite::Result<()> {
    connection.prepare_cached("INSERT INTO name VALUES (?1, ?2)")?.execute(params![id, name]).map(drop)
}

/// Every name with its number, in the order of the numbers.
pub(crate) fn all(connection: &Connection) -> rusqlite::Result<Vec<(i64, String)>> {
    let mut select = connection.prepare("SELECT id, name FROM name ORDER BY id")?;
    select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}
