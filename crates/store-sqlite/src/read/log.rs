use std::sync::Arc;

use raincheck_core::{Event, EventBody, JobId, JobKey};
use raincheck_store::{LogPage, StoreError};
use rusqlite::{Connection, params};

use crate::fault::Fault;
use crate::hot::FIRST_START_SEQ;
use crate::names::Names;
use crate::read::job::{self, Found};
use crate::table::event;

/// A page ends after about so many bytes.
const PAGE_BYTES: usize = 1 << 20;

/// Up to `max` events of a job after number `after`.
pub(crate) fn read(
    connection: &Connection,
    id: JobId,
    tenant: Option<&str>,
    (after, max): (u64, usize),
    names: &Names,
) -> Result<Option<LogPage>, Fault> {
    let Some(found) = job::get(connection, id, tenant, names)? else { return Ok(None) };
    let (last_seq, ended) = (found.life.last_seq, found.life.state.is_final());
    let mut page = Page { events: Vec::new(), next: after.saturating_add(1), max, bytes: 0 };
    if page.wants(1) {
        page.push(accepted(&found, names)?, 0)?;
    }
    if page.wants(FIRST_START_SEQ)
        && let Some(event) = first_start(&found)
    {
        page.push(event, 0)?;
    }
    let stored_until = if ended { last_seq - 1 } else { last_seq };
    if page.open() && page.next <= stored_until {
        stored(connection, id.key(), &mut page)?;
    }
    if ended && page.wants(last_seq) {
        page.push(end(&found)?, 0)?;
    }
    let complete = page.next > last_seq || !page.open();
    if !complete {
        return Err(StoreError::Unreadable(format!("event {} of {id} is missing", page.next)).into());
    }
    Ok(Some(LogPage { events: page.events, last_seq, ended }))
}

/// The page in the making.
struct Page {
    events: Vec<Event>,
    /// The number of the next event.
    next: u64,
    max: usize,
    bytes: usize,
}

impl Page {
    fn open(&self) -> bool {
        self.events.len() < self.max && self.bytes < PAGE_BYTES
    }

    fn wants(&self, seq: u64) -> bool {
        self.next == seq && self.open()
    }

    fn push(&mut self, event: Event, bytes: usize) -> Result<(), StoreError> {
        if event.seq != self.next {
            return Err(StoreError::Unreadable(format!("event {} of a log is missing", self.next)));
        }
        self.next += 1;
        self.bytes += bytes;
        self.events.push(event);
        Ok(())
    }
}

fn stored(connection: &Connection, key: JobKey, page: &mut Page) -> Result<(), Fault> {
    let sql = "SELECT seq, at, attempt, type, data FROM event WHERE key = ?1 AND seq >= ?2 ORDER BY seq";
    let mut select = connection.prepare_cached(sql)?;
    let mut rows = select.query(params![key.as_i64(), page.next.cast_signed()])?;
    while page.open() {
        let Some(row) = rows.next()? else { break };
        let (event, bytes) = event::read(row)?;
        page.push(event, bytes)?;
    }
    Ok(())
}

fn accepted(found: &Found, names: &Names) -> Result<Event, StoreError> {
    let body = EventBody::Accepted(Arc::new(found.request.spec(names)?));
    Ok(Event { seq: 1, at: found.request.accepted_at, attempt: 0, body })
}

fn first_start(found: &Found) -> Option<Event> {
    let (at, worker) = (found.life.started_at?, found.first_worker.clone()?);
    Some(Event { seq: FIRST_START_SEQ, at, attempt: 1, body: EventBody::Started(worker) })
}

fn end(found: &Found) -> Result<Event, StoreError> {
    let life = &found.life;
    let at = life.finished_at.ok_or_else(|| StoreError::Unreadable("an ended job has no end".into()))?;
    Ok(Event { seq: life.last_seq, at, attempt: life.attempt, body: EventBody::Finished(found.outcome()?) })
}
