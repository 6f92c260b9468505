use raincheck_core::{JobId, JobKey, Tenant, Time, Webhook, WorkerId};
use raincheck_store::{Delivery, DeliveryState, StoreError, Then, Tried};
use rusqlite::{Connection, OptionalExtension, Row, Statement, params};

use crate::fault::{Fault, unreadable};
use crate::table::column;

/// The columns of a [`Pending`].
const PENDING: &str = "key, random, endpoint, claim, unheard, tries";

/// The statements on `delivery`.
pub(crate) struct Deliveries<'c> {
    insert: Statement<'c>,
    delete: Statement<'c>,
    webhook: Statement<'c>,
    due: Statement<'c>,
    next_due: Statement<'c>,
    next_endpoint: Statement<'c>,
    due_of: Statement<'c>,
    take: Statement<'c>,
    give_up: Statement<'c>,
    note: Statement<'c>,
    again: Statement<'c>,
    worker_died: Statement<'c>,
}

/// A delivery that is due.
pub(crate) struct Pending {
    pub(crate) job: JobId,
    pub(crate) endpoint: String,
    pub(crate) claim: u64,
    pub(crate) unheard: u32,
    pub(crate) tries: u32,
}

impl<'c> Deliveries<'c> {
    pub(crate) fn prepare(connection: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            insert: connection
                .prepare("INSERT INTO delivery VALUES (?1, ?2, ?3, 0, ?4, 0, 0, 0, NULL, NULL, NULL)")?,
            delete: connection.prepare("DELETE FROM delivery WHERE key = ?1")?,
            webhook: connection.prepare("SELECT webhook FROM accepted WHERE key = ?1")?,
            due: connection.prepare(&format!(
                "SELECT {PENDING} FROM delivery WHERE due_at <= ?1 ORDER BY due_at, key LIMIT ?2"
            ))?,
            next_due: connection
                .prepare("SELECT due_at FROM delivery WHERE due_at > ?1 ORDER BY due_at LIMIT 1")?,
            next_endpoint: connection.prepare(
                "SELECT endpoint FROM delivery WHERE due_at IS NOT NULL AND endpoint > ?1 ORDER BY endpoint LIMIT 1",
            )?,
            due_of: connection.prepare(&format!(
                "SELECT {PENDING} FROM delivery WHERE endpoint = ?3 AND due_at <= ?1 ORDER BY due_at, key LIMIT ?2"
            ))?,
            take: connection.prepare(
                "UPDATE delivery SET claim = claim + 1, unheard = unheard + 1, due_at = ?2, taken_by = ?3 WHERE key = ?1",
            )?,
            give_up: connection.prepare(
                "UPDATE delivery SET state = 2, due_at = NULL, last_at = ?2, last_answer = ?3, taken_by = NULL WHERE key = ?1",
            )?,
            // Whenever it is heard that it was taken by the endpoint, it was; all else counts only of the last claim.
            note: connection.prepare(
                "UPDATE delivery SET state = ?3, due_at = ?4, last_at = ?5, last_answer = ?6, tries = tries + ?7, \
                 unheard = 0, taken_by = NULL \
                 WHERE key = ?1 AND ((claim = ?2 AND state = 0) OR (?3 = 1 AND state <> 1))",
            )?,
            again: connection.prepare(
                "UPDATE delivery SET state = 0, due_at = ?2, tries = 0, unheard = 0, taken_by = NULL WHERE key = ?1",
            )?,
            worker_died: connection.prepare("UPDATE delivery SET due_at = ?2, taken_by = NULL WHERE taken_by = ?1")?,
        })
    }

    /// The end of a job whose end is told becomes due.
    pub(crate) fn add(&mut self, job: JobId, tenant: &Tenant, now: Time) -> Result<(), Fault> {
        let key = job.key().as_i64();
        let text: Option<String> = self.webhook.query_row([key], |row| row.get(0))?;
        let missing = || StoreError::Unreadable("the webhook of a job is missing".into());
        let webhook: Webhook = serde_json::from_str(&text.ok_or_else(missing)?).map_err(unreadable)?;
        let endpoint = webhook.endpoint(tenant);
        self.insert.execute(params![key, job.random().cast_signed(), endpoint, now.as_millis()])?;
        Ok(())
    }

    pub(crate) fn delete(&mut self, key: JobKey) -> rusqlite::Result<()> {
        self.delete.execute([key.as_i64()]).map(drop)
    }

    /// Those that are due, what is due first first.
    pub(crate) fn due(&mut self, now: Time, max: usize) -> rusqlite::Result<Vec<Pending>> {
        self.due.query_map(params![now.as_millis(), limit(max)], pending)?.collect()
    }

    /// When the next after these will be due.
    pub(crate) fn next_due(&mut self, now: Time) -> rusqlite::Result<Option<Time>> {
        self.next_due.query_row([now.as_millis()], |row| column::time(row, 0)).optional()
    }

    /// The first endpoint behind this one for which something is pending.
    pub(crate) fn next_endpoint(&mut self, after: &str) -> rusqlite::Result<Option<String>> {
        self.next_endpoint.query_row([after], |row| row.get(0)).optional()
    }

    /// Those of an endpoint that are due.
    pub(crate) fn due_of(&mut self, endpoint: &str, now: Time, max: usize) -> rusqlite::Result<Vec<Pending>> {
        self.due_of.query_map(params![now.as_millis(), limit(max), endpoint], pending)?.collect()
    }

    /// This worker takes it. It is due again at `until`.
    pub(crate) fn take(&mut self, key: JobKey, worker: &WorkerId, until: Time) -> rusqlite::Result<()> {
        self.take.execute(params![key.as_i64(), until.as_millis(), worker.as_str()]).map(drop)
    }

    /// Nobody takes it any more.
    pub(crate) fn give_up(&mut self, key: JobKey, why: &str, now: Time) -> rusqlite::Result<()> {
        self.give_up.execute(params![key.as_i64(), now.as_millis(), why]).map(drop)
    }

    /// What this worker had taken is due.
    pub(crate) fn worker_died(&mut self, worker: &WorkerId, now: Time) -> rusqlite::Result<()> {
        self.worker_died.execute(params![worker.as_str(), now.as_millis()]).map(drop)
    }

    pub(crate) fn note(&mut self, tried: &Tried, now: Time) -> rusqlite::Result<()> {
        let (state, due_at, tries) = match tried.then {
            Then::Again(at) => (0, Some(at.as_millis()), 1),
            Then::Later(at) => (0, Some(at.as_millis()), 0),
            Then::Delivered => (1, None, 1),
            Then::GivenUp => (2, None, 1),
        };
        let (key, claim) = (tried.job.key().as_i64(), tried.claim.cast_signed());
        self.note.execute(params![key, claim, state, due_at, now.as_millis(), tried.answer, tries]).map(drop)
    }

    /// From the first try; whether there is anything to deliver.
    pub(crate) fn again(&mut self, key: JobKey, now: Time) -> rusqlite::Result<bool> {
        Ok(self.again.execute(params![key.as_i64(), now.as_millis()])? > 0)
    }
}

fn limit(max: usize) -> i64 {
    i64::try_from(max).unwrap_or(i64::MAX)
}

fn pending(row: &Row<'_>) -> rusqlite::Result<Pending> {
    Ok(Pending {
        job: JobId::new(column::key(row, 0)?, column::unsigned(row, 1)?),
        endpoint: row.get(2)?,
        claim: column::unsigned(row, 3)?,
        unheard: row.get(4)?,
        tries: row.get(5)?,
    })
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
