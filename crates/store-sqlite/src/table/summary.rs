use raincheck_core::{ConversationId, Summary, Time};
use raincheck_store::NewSummary;
use rusqlite::{Connection, params};

use crate::fault::Fault;
use crate::table::column;

/// Keeps a summary, unless there is one of the same messages.
pub(crate) fn insert(connection: &Connection, new: &NewSummary, now: Time) -> rusqlite::Result<()> {
    let sql = "INSERT OR IGNORE INTO summary VALUES (?1, ?2, ?3, ?4)";
    let values = params![new.conversation.key().as_i64(), new.up_to, new.content.as_str(), now.as_millis()];
    connection.prepare_cached(sql)?.execute(values).map(drop)
}

/// The newest summary that covers no message beyond this number.
pub(crate) fn newest(connection: &Connection, of: ConversationId, up_to: u32) -> Result<Option<Summary>, Fault> {
    let sql = "SELECT up_to, content, created_at FROM summary \
               WHERE conversation = ?1 AND up_to <= ?2 ORDER BY up_to DESC LIMIT 1";
    let mut select = connection.prepare_cached(sql)?;
    let mut rows = select.query(params![of.key().as_i64(), up_to])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let content = column::json_text(Some(row.get(1)?))?.unwrap_or_default();
    Ok(Some(Summary { up_to: row.get(0)?, content, created_at: column::time(row, 2)? }))
}
