use raincheck_core::{ConcurrencyKey, JobKey, Life, Spec, Time};
use rusqlite::{Connection, Statement, params};

use crate::hot::Hot;
use crate::names::LineIds;
use crate::table::accepted::{self, Request};
use crate::table::column::{self, state_number};
use crate::table::life::{self, Stored};

/// What the writer reads of a job that has not ended.
pub(crate) struct LiveJob {
    pub(crate) request: Request,
    pub(crate) stored: Stored,
    /// Only if it was asked for.
    pub(crate) input: Option<String>,
}

/// The statements on `live`.
pub(crate) struct Live<'c> {
    insert: Statement<'c>,
    update: Statement<'c>,
    update_log: Statement<'c>,
    update_lease: Statement<'c>,
    delete: Statement<'c>,
    select: Statement<'c>,
    select_with_input: Statement<'c>,
}

/// The columns of a [`LiveJob`], without the input.
pub(crate) fn columns() -> String {
    format!("{}, {}, worker, lease_until", accepted::COLUMNS, qualified())
}

fn qualified() -> String {
    life::COLUMNS.split(", ").map(|name| format!("live.{name}")).collect::<Vec<_>>().join(", ")
}

/// Reads [`columns`], the first of which is `at`.
pub(crate) fn read(row: &rusqlite::Row<'_>, key: JobKey, at: usize) -> rusqlite::Result<LiveJob> {
    let request = Request::read(row, key, at)?;
    let stored = life::read_live(row, at + accepted::WIDTH)?;
    Ok(LiveJob { request, stored, input: None })
}

impl<'c> Live<'c> {
    pub(crate) fn prepare(connection: &'c Connection) -> rusqlite::Result<Self> {
        let columns = columns();
        let from = "FROM live JOIN accepted USING (key) WHERE live.key = ?1";
        Ok(Self {
            insert: connection.prepare(
                "INSERT INTO live VALUES (?1, ?2, 0, 0, 0, 0, ?3, 0, 1, 0, 0, NULL, NULL, NULL, NULL, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            )?,
            update: connection.prepare(
                "UPDATE live SET state = ?2, attempt = ?3, failures = ?4, lease_losses = ?5, fence = ?6, run_at = ?7, \
                 cancel_requested = ?8, last_seq = ?9, steps = ?10, progress_seq = ?11, started_at = ?12, \
                 first_worker = ?13, worker = ?14, lease_until = ?15 WHERE key = ?1",
            )?,
            update_log: connection
                .prepare("UPDATE live SET last_seq = ?2, steps = ?3, progress_seq = ?4 WHERE key = ?1")?,
            update_lease: connection.prepare("UPDATE live SET lease_until = ?2 WHERE key = ?1")?,
            delete: connection.prepare("DELETE FROM live WHERE key = ?1")?,
            select: connection.prepare(&format!("SELECT {columns} {from}"))?,
            select_with_input: connection.prepare(&format!("SELECT {columns}, accepted.input {from}"))?,
        })
    }

    pub(crate) fn insert(&mut self, key: JobKey, life: &Life, line: LineIds, spec: &Spec) -> rusqlite::Result<()> {
        self.insert.execute(params![
            key.as_i64(),
            state_number(life.state),
            life.run_at.as_millis(),
            line.queue,
            line.kind,
            line.tenant,
            line.priority,
            spec.deadline.map(Time::as_millis),
            line.lane,
            spec.concurrency_key.as_ref().map(ConcurrencyKey::as_str),
        ])?;
        Ok(())
    }

    /// Writes everything that may change.
    pub(crate) fn update(&mut self, hot: &Hot) -> rusqlite::Result<()> {
        let life = &hot.life;
        self.update.execute(params![
            hot.id.key().as_i64(),
            state_number(life.state),
            life.attempt,
            life.failures,
            life.lease_losses,
            life.fence.0.cast_signed(),
            life.run_at.as_millis(),
            life.cancel_requested,
            life.last_seq.cast_signed(),
            life.steps,
            hot.progress_seq.cast_signed(),
            life.started_at.map(Time::as_millis),
            hot.first_worker.as_ref().map(|worker| worker.as_str()),
            life.lease.as_ref().map(|lease| lease.worker.as_str()),
            life.lease.as_ref().map(|lease| lease.until.as_millis()),
        ])?;
        Ok(())
    }

    /// Writes what notes change.
    pub(crate) fn update_log(&mut self, hot: &Hot) -> rusqlite::Result<()> {
        let Hot { id, life, progress_seq, .. } = hot;
        let (last_seq, progress_seq) = (life.last_seq.cast_signed(), progress_seq.cast_signed());
        self.update_log.execute(params![id.key().as_i64(), last_seq, life.steps, progress_seq])?;
        Ok(())
    }

    /// Writes what a heartbeat changes.
    pub(crate) fn update_lease(&mut self, hot: &Hot) -> rusqlite::Result<()> {
        let until = hot.life.lease.as_ref().map(|lease| lease.until.as_millis());
        self.update_lease.execute(params![hot.id.key().as_i64(), until])?;
        Ok(())
    }

    pub(crate) fn delete(&mut self, key: JobKey) -> rusqlite::Result<()> {
        self.delete.execute([key.as_i64()]).map(drop)
    }

    pub(crate) fn get(&mut self, key: JobKey, with_input: bool) -> rusqlite::Result<Option<LiveJob>> {
        let select = if with_input { &mut self.select_with_input } else { &mut self.select };
        let mut rows = select.query([key.as_i64()])?;
        let Some(row) = rows.next()? else { return Ok(None) };
        let mut job = read(row, key, 0)?;
        if with_input {
            job.input = Some(column::text(row, accepted::WIDTH + life::WIDTH + 2)?.to_owned());
        }
        Ok(Some(job))
    }
}
