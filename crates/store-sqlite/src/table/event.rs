use raincheck_core::{Event, EventBody, JobKey, Json, Progress, StepRecord};
use raincheck_store::StoreError;
use rusqlite::{Connection, Row, Statement, params};

use crate::fault::{Fault, unreadable};
use crate::table::column;

/// The statements on `event`.
pub(crate) struct Events<'c> {
    insert: Statement<'c>,
    delete: Statement<'c>,
    noted: Statement<'c>,
}

impl<'c> Events<'c> {
    pub(crate) fn prepare(connection: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            insert: connection.prepare("INSERT INTO event VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?,
            delete: connection.prepare("DELETE FROM event WHERE key = ?1")?,
            noted: connection.prepare(
                "SELECT count(*) FROM event
                 WHERE key = ?1 AND seq > ?2 AND attempt = ?3 AND type IN ('progress', 'output', 'step')",
            )?,
        })
    }

    pub(crate) fn insert(&mut self, key: JobKey, event: &Event) -> rusqlite::Result<()> {
        let (name, data) = (event.body.event_type().as_str(), event.body.data());
        self.insert.execute(params![
            key.as_i64(),
            event.seq.cast_signed(),
            event.at.as_millis(),
            event.attempt,
            name,
            data.as_str(),
        ])?;
        Ok(())
    }

    /// How many notes of this attempt a job's log has after number `after`.
    pub(crate) fn noted(&mut self, key: JobKey, after: u64, attempt: u32) -> rusqlite::Result<usize> {
        // What is beyond the numbers of SQLite is beyond any log.
        let after = i64::try_from(after).unwrap_or(i64::MAX);
        let count: isize = self.noted.query_row(params![key.as_i64(), after, attempt], |row| row.get(0))?;
        Ok(count.unsigned_abs())
    }

    pub(crate) fn delete(&mut self, key: JobKey) -> rusqlite::Result<()> {
        self.delete.execute([key.as_i64()]).map(drop)
    }
}

/// Reads `seq, at, attempt, type, data`; also says how many bytes the data have.
pub(crate) fn read(row: &Row<'_>) -> Result<(Event, usize), Fault> {
    let data = column::text(row, 4)?;
    let (length, data) = (data.len(), Json::from_text(data.to_owned()).map_err(unreadable)?);
    let event_type = column::text(row, 3)?.parse().map_err(unreadable)?;
    let body = EventBody::from_parts(event_type, &data).map_err(unreadable)?;
    let event = Event { seq: column::unsigned(row, 0)?, at: column::time(row, 1)?, attempt: row.get(2)?, body };
    Ok((event, length))
}

/// The progress that an event of a job reported; none for event 0.
pub(crate) fn progress(connection: &Connection, key: JobKey, seq: u64) -> Result<Option<Progress>, Fault> {
    if seq == 0 {
        return Ok(None);
    }
    let mut select = connection.prepare_cached("SELECT data FROM event WHERE key = ?1 AND seq = ?2")?;
    let mut rows = select.query(params![key.as_i64(), seq.cast_signed()])?;
    let Some(row) = rows.next()? else {
        return Err(StoreError::Unreadable("an event that holds a progress is missing".into()).into());
    };
    Ok(Some(serde_json::from_str(column::text(row, 0)?).map_err(unreadable)?))
}

/// The steps that a job has recorded, as JSON.
pub(crate) fn steps(connection: &Connection, key: JobKey) -> rusqlite::Result<Vec<String>> {
    let sql = "SELECT data FROM event WHERE key = ?1 AND type = 'step' ORDER BY seq";
    connection.prepare_cached(sql)?.query_map([key.as_i64()], |row| row.get(0))?.collect()
}

/// Reads what [`steps`] gave.
pub(crate) fn parse_steps(steps: &[String]) -> Result<Vec<StepRecord>, StoreError> {
    steps.iter().map(|text| serde_json::from_str(text).map_err(unreadable)).collect()
}
