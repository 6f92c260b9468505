use raincheck_core::{JobKey, State, Time};
use rusqlite::Connection;

use crate::fault::Fault;
use crate::hot::Hot;
use crate::memory::{Memory, Standing, Wait};
use crate::names::{LineIds, Numbers};
use crate::table::{Tables, column, idempotency, live, name, paused};

/// Reads the names.
pub(crate) fn names(connection: &Connection, numbers: &mut Numbers) -> Result<(), Fault> {
    for (id, text) in name::all(connection)? {
        let given = numbers.add(&text)?;
        if given != id {
            return Err(raincheck_store::StoreError::Unreadable(format!("name {given} is missing")).into());
        }
    }
    Ok(())
}

/// The newest key of jobs and conversations.
pub(crate) fn newest(connection: &Connection) -> rusqlite::Result<Option<JobKey>> {
    let sql =
        "SELECT max(ifnull((SELECT max(key) FROM accepted), -1), ifnull((SELECT max(key) FROM conversation), -1))";
    connection.query_row(sql, [], |row| row.get(0)).map(JobKey::from_i64)
}

/// Reads everything else that the writer keeps in memory.
pub(crate) fn memory(tables: &mut Tables<'_>, numbers: &mut Numbers, memory: &mut Memory) -> Result<(), Fault> {
    for queue in paused::all(tables.connection)? {
        memory.ready().set_paused(&queue.parse().map_err(crate::fault::unreadable)?, true);
    }
    waiting(tables.connection, numbers, memory)?;
    running(tables, numbers, memory)?;
    let mut keys = tables.connection.prepare("SELECT entries FROM idempotency ORDER BY first")?;
    let mut rows = keys.query([])?;
    while let Some(row) = rows.next()? {
        let entries = row.get_ref(0)?.as_blob().map_err(crate::fault::unreadable)?;
        idempotency::read(entries).for_each(|(job, key)| memory.idempotency.insert(key, job));
    }
    Ok(())
}

fn waiting(connection: &Connection, numbers: &mut Numbers, memory: &mut Memory) -> Result<(), Fault> {
    let sql = "SELECT key, state, run_at, queue, kind, tenant, priority, deadline, lane, concurrency_key FROM live ORDER BY key";
    let mut select = connection.prepare(sql)?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let (key, state, run_at) = (column::key(row, 0)?, column::state(row, 1)?, column::time(row, 2)?);
        let ids = LineIds {
            queue: row.get(3)?,
            kind: row.get(4)?,
            tenant: row.get(5)?,
            lane: row.get(8)?,
            priority: row.get(6)?,
        };
        if state == State::Running {
            continue;
        }
        let line = numbers.keyed_line(ids, column::concurrency_key(row, 9)?.as_ref())?;
        // No clock is read here: what was not queued yet is looked at again when the first claim tells the time.
        let now = if state == State::Queued { run_at } else { Time::EPOCH };
        let wait = Wait { line, run_at, deadline: column::time_if_any(row, 7)? };
        memory.enter(key, Standing::Waiting(wait), now);
    }
    Ok(())
}

fn running(tables: &mut Tables<'_>, numbers: &mut Numbers, memory: &mut Memory) -> Result<(), Fault> {
    let columns = live::columns();
    let sql = format!("SELECT live.key, {columns} FROM live JOIN accepted USING (key) WHERE live.state = 2");
    let mut select = tables.connection.prepare(&sql)?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let key = column::key(row, 0)?;
        let job = live::read(row, key, 1)?;
        let hot = Hot::read(tables, numbers, &job.request, job.stored)?;
        memory.enter(key, Standing::from(hot), Time::EPOCH);
    }
    Ok(())
}
