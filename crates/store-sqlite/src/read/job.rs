use std::sync::Arc;

use raincheck_core::{Job, JobId, JobKey, Life, WorkerId};
use raincheck_store::StoreError;
use rusqlite::{Connection, Row};

use crate::fault::Fault;
use crate::names::Names;
use crate::table::accepted::{self, Request};
use crate::table::life::{self, Stored};
use crate::table::{column, event, finished};

/// A job as its rows hold it.
pub(crate) struct Found {
    pub(crate) request: Request,
    pub(crate) life: Life,
    pub(crate) first_worker: Option<WorkerId>,
    /// As text; see [`finished::outcome`].
    outcome: Option<String>,
}

impl Found {
    /// The job, with its outcome.
    pub(crate) fn into_job(self, names: &Names) -> Result<Job, StoreError> {
        let outcome = self.life.state.is_final().then(|| finished::outcome(self.life.state, self.outcome.as_deref()));
        Ok(Job {
            id: self.request.id,
            spec: Arc::new(self.request.spec(names)?),
            life: self.life,
            outcome: outcome.transpose()?,
        })
    }

    /// How it ended.
    pub(crate) fn outcome(&self) -> Result<raincheck_core::Outcome, StoreError> {
        finished::outcome(self.life.state, self.outcome.as_deref())
    }

    /// The job without its outcome, and without its progress if that was not read.
    pub(crate) fn job(&self, names: &Names) -> Result<Job, StoreError> {
        let spec = Arc::new(self.request.spec(names)?);
        Ok(Job { id: self.request.id, spec, life: self.life.clone(), outcome: None })
    }
}

/// The columns of a job, live or finished, but for its outcome.
pub(crate) fn columns() -> String {
    let of =
        |table: &str| life::COLUMNS.split(", ").map(|name| format!("{table}.{name}")).collect::<Vec<_>>().join(", ");
    format!(
        "accepted.key, {}, {}, live.worker, live.lease_until, {}, finished.finished_at, finished.expires_at",
        accepted::COLUMNS,
        of("live"),
        of("finished")
    )
}

/// How many columns these are.
pub(crate) const WIDTH: usize = 1 + accepted::WIDTH + 2 * (life::WIDTH + 2);

/// The tables that the columns are of.
pub(crate) const FROM: &str =
    "FROM accepted LEFT JOIN live ON live.key = accepted.key LEFT JOIN finished ON finished.key = accepted.key";

/// Reads the columns, but for the progress, which it gives the event of.
pub(crate) fn read(row: &Row<'_>, outcome: Option<String>) -> Result<(Found, u64), Fault> {
    const LIVE: usize = 1 + accepted::WIDTH;
    const FINISHED: usize = LIVE + life::WIDTH + 2;
    let request = Request::read(row, column::key(row, 0)?, 1)?;
    let state = |at: usize| row.get::<_, Option<i64>>(at);
    let Stored { life, progress_seq, first_worker } = match (state(LIVE)?, state(FINISHED)?) {
        (Some(_), None) => life::read_live(row, LIVE)?,
        (None, Some(_)) => life::read_finished(row, FINISHED)?,
        _ => return Err(StoreError::Unreadable(format!("{} has not exactly one state", request.id)).into()),
    };
    Ok((Found { request, life, first_worker, outcome }, progress_seq))
}

/// The job with this key, whosever it is.
pub(crate) fn find(connection: &Connection, key: JobKey) -> Result<Option<Found>, Fault> {
    let sql = format!("SELECT {}, finished.outcome {FROM} WHERE accepted.key = ?1", columns());
    let mut select = connection.prepare_cached(&sql)?;
    let mut rows = select.query([key.as_i64()])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let (mut found, progress_seq) = read(row, row.get(WIDTH)?)?;
    found.life.progress = event::progress(connection, key, progress_seq)?;
    Ok(Some(found))
}

/// The job with this id, if this tenant may see it.
pub(crate) fn get(
    connection: &Connection,
    id: JobId,
    tenant: Option<&str>,
    names: &Names,
) -> Result<Option<Found>, Fault> {
    let Some(found) = find(connection, id.key())?.filter(|found| found.request.id == id) else { return Ok(None) };
    let visible = match tenant {
        Some(tenant) => names.line(found.request.line)?.tenant.as_str() == tenant,
        None => true,
    };
    Ok(visible.then_some(found))
}

/// What a job's handler is given, as JSON.
pub(crate) fn input(connection: &Connection, id: JobId) -> Result<Option<String>, Fault> {
    let mut select = connection.prepare_cached("SELECT random, input FROM accepted WHERE key = ?1")?;
    let mut rows = select.query([id.key().as_i64()])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    Ok(if column::unsigned(row, 0)? == id.random() { Some(row.get(1)?) } else { None })
}

/// The steps that a job has recorded, as JSON.
pub(crate) fn steps(connection: &Connection, id: JobId) -> Result<Vec<String>, Fault> {
    Ok(if exists(connection, id)? { event::steps(connection, id.key())? } else { Vec::new() })
}

fn exists(connection: &Connection, id: JobId) -> Result<bool, Fault> {
    let mut select = connection.prepare_cached("SELECT random FROM accepted WHERE key = ?1")?;
    let mut rows = select.query([id.key().as_i64()])?;
    Ok(match rows.next()? {
        Some(row) => column::unsigned(row, 0)? == id.random(),
        None => false,
    })
}
