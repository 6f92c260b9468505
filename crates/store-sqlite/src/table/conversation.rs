use raincheck_core::{Conversation, ConversationId, JobKey, Tenant, Time};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::fault::{Fault, unreadable};
use crate::table::column;

/// The columns of a [`Conversation`].
const COLUMNS: &str = "key, random, tenant, metadata, messages, turns, created_at, updated_at";

fn read(row: &Row<'_>) -> Result<Conversation, Fault> {
    let metadata: Option<String> = row.get(3)?;
    Ok(Conversation {
        id: ConversationId::new(column::key(row, 0)?, column::unsigned(row, 1)?),
        tenant: column::text(row, 2)?.parse().map_err(unreadable)?,
        metadata: column::json_text(metadata)?,
        messages: row.get(4)?,
        turns: row.get(5)?,
        created_at: column::time(row, 6)?,
        updated_at: column::time(row, 7)?,
    })
}

/// The conversation with this id, if this tenant may see it.
pub(crate) fn get(
    connection: &Connection,
    id: ConversationId,
    tenant: Option<&Tenant>,
) -> Result<Option<Conversation>, Fault> {
    let mut select = connection.prepare_cached(&format!("SELECT {COLUMNS} FROM conversation WHERE key = ?1"))?;
    let mut rows = select.query([id.key().as_i64()])?;
    let found = rows.next()?.map(read).transpose()?;
    Ok(found.filter(|found| found.id == id && tenant.is_none_or(|tenant| *tenant == found.tenant)))
}

/// Up to `max` conversations that are older than `before`, the newest first.
pub(crate) fn list(
    connection: &Connection,
    tenant: Option<&Tenant>,
    before: Option<JobKey>,
    max: usize,
) -> Result<Vec<Conversation>, Fault> {
    let of_tenant = if tenant.is_some() { "tenant = ?3" } else { "?3 IS NULL" };
    let sql = format!("SELECT {COLUMNS} FROM conversation WHERE key < ?1 AND {of_tenant} ORDER BY key DESC LIMIT ?2");
    let mut select = connection.prepare_cached(&sql)?;
    let before = before.map_or(i64::MAX, |key| key.as_i64());
    let max = i64::try_from(max).unwrap_or(i64::MAX);
    let mut rows = select.query(params![before, max, tenant.map(Tenant::as_str)])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(row)?);
    }
    Ok(found)
}

/// How many conversations a tenant has.
pub(crate) fn count(connection: &Connection, tenant: &Tenant) -> rusqlite::Result<usize> {
    let sql = "SELECT conversations FROM conversation_count WHERE tenant = ?1";
    let count: Option<i64> =
        connection.prepare_cached(sql)?.query_row([tenant.as_str()], |row| row.get(0)).optional()?;
    Ok(count.and_then(|count| usize::try_from(count).ok()).unwrap_or(0))
}

/// Stores a new conversation.
pub(crate) fn insert(connection: &Connection, new: &Conversation) -> rusqlite::Result<()> {
    let insert = "INSERT INTO conversation VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    connection.prepare_cached(insert)?.execute(params![
        new.id.key().as_i64(),
        new.id.random().cast_signed(),
        new.tenant.as_str(),
        new.metadata.as_ref().map(raincheck_core::Json::as_str),
        new.messages,
        new.turns,
        new.created_at.as_millis(),
        new.updated_at.as_millis(),
    ])?;
    let count = "INSERT INTO conversation_count VALUES (?1, 1) \
                 ON CONFLICT (tenant) DO UPDATE SET conversations = conversations + 1";
    connection.prepare_cached(count)?.execute([new.tenant.as_str()]).map(drop)
}

/// Writes what messages change.
pub(crate) fn update(connection: &Connection, of: &Conversation) -> rusqlite::Result<()> {
    let sql = "UPDATE conversation SET messages = ?2, turns = ?3, updated_at = ?4 WHERE key = ?1";
    let values = params![of.id.key().as_i64(), of.messages, of.turns, of.updated_at.as_millis()];
    connection.prepare_cached(sql)?.execute(values).map(drop)
}

/// A message of it has changed.
pub(crate) fn touch(connection: &Connection, id: ConversationId, now: Time) -> rusqlite::Result<()> {
    let sql = "UPDATE conversation SET updated_at = max(updated_at, ?3) WHERE key = ?1 AND random = ?2";
    let values = params![id.key().as_i64(), id.random().cast_signed(), now.as_millis()];
    connection.prepare_cached(sql)?.execute(values).map(drop)
}

/// Removes a conversation with all that belongs to it.
pub(crate) fn delete(connection: &Connection, of: &Conversation) -> rusqlite::Result<()> {
    for sql in [
        "DELETE FROM message WHERE conversation = ?1",
        "DELETE FROM summary WHERE conversation = ?1",
        "DELETE FROM conversation WHERE key = ?1",
    ] {
        connection.prepare_cached(sql)?.execute([of.id.key().as_i64()])?;
    }
    for sql in [
        "UPDATE conversation_count SET conversations = conversations - 1 WHERE tenant = ?1",
        "DELETE FROM conversation_count WHERE tenant = ?1 AND conversations <= 0",
    ] {
        connection.prepare_cached(sql)?.execute([of.tenant.as_str()])?;
    }
    Ok(())
}
