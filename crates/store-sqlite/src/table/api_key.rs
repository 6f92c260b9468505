use raincheck_core::Time;
use raincheck_store::{ApiKey, Scope};
use rusqlite::{Connection, Row, params};

use crate::fault::{Fault, unreadable};
use crate::table::column;

const SELECT: &str = "SELECT id, hash, tenant, scopes, created_at, expires_at FROM api_key";

/// Stores a key, in place of the one with the same id if there is one.
pub(crate) fn insert(connection: &Connection, key: &ApiKey) -> rusqlite::Result<()> {
    let scopes: Vec<&str> = key.scopes.iter().map(|scope| scope.as_str()).collect();
    let mut insert = connection.prepare_cached("INSERT OR REPLACE INTO api_key VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
    insert.execute(params![
        key.id,
        key.hash,
        key.tenant.as_str(),
        scopes.join(" "),
        key.created_at.as_millis(),
        key.expires_at.map(Time::as_millis),
    ])?;
    Ok(())
}

/// From `now` on a key is refused; whether there is such a key.
pub(crate) fn revoke(connection: &Connection, id: &str, now: Time) -> rusqlite::Result<bool> {
    let sql = "UPDATE api_key SET expires_at = min(coalesce(expires_at, ?2), ?2) WHERE id = ?1";
    Ok(connection.prepare_cached(sql)?.execute(params![id, now.as_millis()])? > 0)
}

/// The key with this id.
pub(crate) fn get(connection: &Connection, id: &str) -> Result<Option<ApiKey>, Fault> {
    let mut select = connection.prepare_cached(&format!("{SELECT} WHERE id = ?1"))?;
    let mut rows = select.query([id])?;
    rows.next()?.map(read).transpose()
}

/// Every key, oldest first.
pub(crate) fn all(connection: &Connection) -> Result<Vec<ApiKey>, Fault> {
    let mut select = connection.prepare_cached(&format!("{SELECT} ORDER BY created_at, id"))?;
    let mut rows = select.query([])?;
    let mut keys = Vec::new();
    while let Some(row) = rows.next()? {
        keys.push(read(row)?);
    }
    Ok(keys)
}

fn read(row: &Row<'_>) -> Result<ApiKey, Fault> {
    let scopes: Result<Vec<Scope>, _> = column::text(row, 3)?.split_whitespace().map(str::parse).collect();
    Ok(ApiKey {
        id: row.get(0)?,
        hash: row.get(1)?,
        tenant: column::text(row, 2)?.parse().map_err(unreadable)?,
        scopes: scopes.map_err(unreadable)?,
        created_at: column::time(row, 4)?,
        expires_at: column::time_if_any(row, 5)?,
    })
}
