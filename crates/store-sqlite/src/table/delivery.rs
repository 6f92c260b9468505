use raincheck_core::{JobId, JobKey, Time, Webhook, WorkerId};
use raincheck_store::{Delivery, DeliveryState, StoreError, Then, Tried};
use rusqlite::{Connection, OptionalExtension, Row, Statement, params};

use crate::fault::{Fault, unreadable};
use crate::table::column;

/// The statements on `delivery`.
pub(crate) struct Deliveries<'c> {
    insert: Statement<'c>,
    delete: Statement<'c>,
    webhook: Statement<'c>,
    next_endpoint: Statement<'c>,
    pending: Statement<'c>,
    take: Statement<'c>,
    note: Statement<'c>,
    again: Statement<'c>,
    worker_died: Statement<'c>,
}

/// A pending delivery.
pub(crate) struct Pending {
    pub(crate) job: JobId,
    pub(crate) due_at: Time,
    pub(crate) tries: u32,
}

impl<'c> Deliveries<'c> {
    pub(crate) fn prepare(connection: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            insert: connection.prepare("INSERT INTO delivery VALUES (?1, ?2, 0, ?3, 0, NULL, NULL, NULL)")?,
            delete: connection.prepare("DELETE FROM delivery WHERE key = ?1")?,
            webhook: connection.prepare("SELECT webhook FROM accepted WHERE key = ?1")?,
            next_endpoint: connection.prepare(
                "SELECT endpoint FROM delivery WHERE due_at IS NOT NULL AND endpoint > ?1 ORDER BY endpoint LIMIT 1",
            )?,
            pending: connection.prepare(
                "SELECT accepted.key, accepted.random, delivery.due_at, delivery.tries \
                 FROM delivery JOIN accepted ON accepted.key = delivery.key \
                 WHERE delivery.endpoint = ?1 AND delivery.due_at IS NOT NULL \
                 ORDER BY delivery.due_at, delivery.key LIMIT ?2",
            )?,
            take: connection
                .prepare("UPDATE delivery SET tries = tries + 1, due_at = ?2, taken_by = ?3 WHERE key = ?1")?,
            note: connection.prepare(
                "UPDATE delivery SET state = ?3, due_at = ?4, last_at = ?5, last_answer = ?6, taken_by = NULL \
                 WHERE key = ?1 AND tries = ?2 AND state = 0",
            )?,
            again: connection
                .prepare("UPDATE delivery SET state = 0, due_at = ?2, tries = 0, taken_by = NULL WHERE key = ?1")?,
            worker_died: connection.prepare("UPDATE delivery SET due_at = ?2, taken_by = NULL WHERE taken_by = ?1")?,
        })
    }

    /// The end of a job whose end is told becomes due.
    pub(crate) fn add(&mut self, key: JobKey, now: Time) -> Result<(), Fault> {
        let text: Option<String> = self.webhook.query_row([key.as_i64()], |row| row.get(0))?;
        let missing = || StoreError::Unreadable("the webhook of a job is missing".into());
        let webhook: Webhook = serde_json::from_str(&text.ok_or_else(missing)?).map_err(unreadable)?;
        self.insert.execute(params![key.as_i64(), webhook.endpoint(), now.as_millis()])?;
        Ok(())
    }

    pub(crate) fn delete(&mut self, key: JobKey) -> rusqlite::Result<()> {
        self.delete.execute([key.as_i64()]).map(drop)
    }

    /// The first endpoint behind this one for which something is pending.
    pub(crate) fn next_endpoint(&mut self, after: &str) -> rusqlite::Result<Option<String>> {
        self.next_endpoint.query_row([after], |row| row.get(0)).optional()
    }

    /// What is pending for an endpoint, what is due first first.
    pub(crate) fn pending(&mut self, endpoint: &str, max: usize) -> rusqlite::Result<Vec<Pending>> {
        let max = i64::try_from(max).unwrap_or(i64::MAX);
        let read = |row: &Row<'_>| {
            let job = JobId::new(column::key(row, 0)?, column::unsigned(row, 1)?);
            Ok(Pending { job, due_at: column::time(row, 2)?, tries: row.get(3)? })
        };
        self.pending.query_map(params![endpoint, max], read)?.collect()
    }

    /// Counts a try by this worker, and makes it due again at `until`.
    pub(crate) fn take(&mut self, key: JobKey, worker: &WorkerId, until: Time) -> rusqlite::Result<()> {
        self.take.execute(params![key.as_i64(), until.as_millis(), worker.as_str()]).map(drop)
    }

    /// What this worker had taken is due.
    pub(crate) fn worker_died(&mut self, worker: &WorkerId, now: Time) -> rusqlite::Result<()> {
        self.worker_died.execute(params![worker.as_str(), now.as_millis()]).map(drop)
    }

    pub(crate) fn note(&mut self, tried: &Tried, now: Time) -> rusqlite::Result<()> {
        let (state, due_at) = match tried.then {
            Then::Again(at) => (0, Some(at.as_millis())),
            Then::Delivered => (1, None),
            Then::GivenUp => (2, None),
        };
        let key = tried.job.key().as_i64();
        self.note.execute(params![key, tried.number, state, due_at, now.as_millis(), tried.answer]).map(drop)
    }

    /// From the first try; whether there is anything to deliver.
    pub(crate) fn again(&mut self, key: JobKey, now: Time) -> rusqlite::Result<bool> {
        Ok(self.again.execute(params![key.as_i64(), now.as_millis()])? > 0)
    }
}

/// How far the delivery of a job's end is.
pub(crate) fn get(connection: &Connection, key: JobKey) -> Result<Option<Delivery>, Fault> {
    let sql = "SELECT state, due_at, tries, last_at, last_answer FROM delivery WHERE key = ?1";
    let mut select = connection.prepare_cached(sql)?;
    let mut rows = select.query([key.as_i64()])?;
    rows.next()?.map(read).transpose()
}

fn read(row: &Row<'_>) -> Result<Delivery, Fault> {
    let state = match (row.get(0)?, column::time_if_any(row, 1)?) {
        (0, Some(due_at)) => DeliveryState::Pending(due_at),
        (1, None) => DeliveryState::Delivered,
        (2, None) => DeliveryState::GivenUp,
        (state, _) => {
            return Err(rusqlite::Error::IntegralValueOutOfRange(0, state).into());
        }
    };
    let answer: Option<String> = row.get(4)?;
    Ok(Delivery { tries: row.get(2)?, state, last: column::time_if_any(row, 3)?.zip(answer) })
}
