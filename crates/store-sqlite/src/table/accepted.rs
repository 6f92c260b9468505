use raincheck_core::{Backoff, ConcurrencyKey, JobId, JobKey, Json, Rules, Spec, Time, Turn, Webhook};
use raincheck_store::StoreError;
use rusqlite::{Connection, OptionalExtension, Row, Statement, params};

use crate::fault::unreadable;
use crate::names::{LineIds, Names};
use crate::table::column;

/// The columns from which [`Request::read`] makes a [`Request`]; of the table called `accepted`.
pub(crate) const COLUMNS: &str = "accepted.random, accepted.queue, accepted.kind, accepted.tenant, accepted.priority, \
     accepted.created_at, accepted.accepted_at, accepted.run_at, accepted.max_attempts, accepted.timeout_ms, \
     accepted.backoff_base_ms, accepted.backoff_cap_ms, accepted.retention_ms, accepted.deadline, accepted.retry_of, \
     accepted.labels, accepted.lane, accepted.webhook, accepted.concurrency_key, \
     accepted.parent, accepted.turn";

/// How many columns these are.
pub(crate) const WIDTH: usize = 21;

/// What was asked for, as a row holds it.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) id: JobId,
    pub(crate) line: LineIds,
    /// When the job was accepted: the time of its first event.
    pub(crate) accepted_at: Time,
    pub(crate) rules: Rules,
    pub(crate) concurrency_key: Option<ConcurrencyKey>,
    pub(crate) turn: Option<Box<Turn>>,
    created_at: Time,
    run_at: Time,
    timeout_ms: u64,
    retry_of: Option<Box<str>>,
    parent: Option<Box<str>>,
    labels: Option<String>,
    webhook: Option<Webhook>,
}

impl Request {
    /// Reads the columns, the first of which is `at`.
    pub(crate) fn read(row: &Row<'_>, key: JobKey, at: usize) -> rusqlite::Result<Self> {
        let created_at = column::time(row, at + 5)?;
        let webhook: Option<Webhook> = column::json_if_any(row, at + 17)?;
        Ok(Self {
            id: JobId::new(key, column::unsigned(row, at)?),
            line: LineIds {
                queue: row.get(at + 1)?,
                kind: row.get(at + 2)?,
                tenant: row.get(at + 3)?,
                lane: row.get(at + 16)?,
                priority: row.get(at + 4)?,
            },
            created_at,
            accepted_at: column::time_if_any(row, at + 6)?.unwrap_or(created_at),
            run_at: column::time(row, at + 7)?,
            timeout_ms: column::unsigned(row, at + 9)?,
            rules: Rules {
                max_attempts: row.get(at + 8)?,
                backoff: Backoff { base_ms: row.get(at + 10)?, cap_ms: row.get(at + 11)? },
                retention_ms: column::unsigned(row, at + 12)?,
                deadline: column::time_if_any(row, at + 13)?,
                is_told: webhook.as_ref().is_some_and(Webhook::wants_end),
            },
            retry_of: row.get(at + 14)?,
            parent: row.get(at + 19)?,
            labels: row.get(at + 15)?,
            webhook,
            concurrency_key: column::concurrency_key(row, at + 18)?,
            turn: column::json_if_any(row, at + 20)?,
        })
    }

    /// What was asked for.
    pub(crate) fn spec(&self, names: &Names) -> Result<Spec, StoreError> {
        let line = names.line(self.line)?;
        let labels = self.labels.as_deref().map(serde_json::from_str).transpose().map_err(unreadable)?;
        Ok(Spec {
            kind: line.kind,
            queue: line.queue,
            lane: line.lane,
            priority: line.priority,
            tenant: line.tenant,
            concurrency_key: self.concurrency_key.clone(),
            labels: labels.unwrap_or_default(),
            created_at: self.created_at,
            run_at: self.run_at,
            max_attempts: self.rules.max_attempts,
            timeout_ms: self.timeout_ms,
            deadline: self.rules.deadline,
            backoff: self.rules.backoff,
            retention_ms: self.rules.retention_ms,
            retry_of: self.retry_of.as_deref().map(str::parse).transpose().map_err(unreadable)?,
            parent: self.parent.as_deref().map(str::parse).transpose().map_err(unreadable)?,
            turn: self.turn.as_deref().copied(),
            webhook: self.webhook.clone(),
        })
    }
}

/// The parts of a [`Spec`] that are kept as text, made by the caller so that the writer need not.
#[derive(Clone, Debug)]
pub(crate) struct Texts {
    retry_of: Option<String>,
    parent: Option<String>,
    labels: Option<String>,
    webhook: Option<String>,
}

impl Texts {
    pub(crate) fn of(spec: &Spec) -> Self {
        let labels = (!spec.labels.is_empty()).then(|| Json::from_value(&spec.labels).unwrap_or_default());
        let webhook = spec.webhook.as_ref().map(|webhook| Json::from_value(webhook).unwrap_or_default());
        Self {
            retry_of: spec.retry_of.map(|id| id.to_string()),
            parent: spec.parent.map(|id| id.to_string()),
            labels: labels.map(|labels| labels.as_str().to_owned()),
            webhook: webhook.map(|webhook| webhook.as_str().to_owned()),
        }
    }
}

/// What is written of a job that is accepted.
pub(crate) struct New<'a> {
    pub(crate) id: JobId,
    pub(crate) line: LineIds,
    pub(crate) spec: &'a Spec,
    pub(crate) texts: &'a Texts,
    pub(crate) input: &'a Json,
    pub(crate) accepted_at: Time,
}

/// What SQLite can keep of it: 300 million years.
fn millis(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The statements on `accepted`.
pub(crate) struct Accepted<'c> {
    insert: Statement<'c>,
    delete: Statement<'c>,
    owner: Statement<'c>,
}

impl<'c> Accepted<'c> {
    pub(crate) fn prepare(connection: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            insert: connection.prepare(
                "INSERT INTO accepted VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, \
                 ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23)",
            )?,
            delete: connection.prepare("DELETE FROM accepted WHERE key = ?1")?,
            owner: connection.prepare("SELECT random, tenant FROM accepted WHERE key = ?1")?,
        })
    }

    pub(crate) fn insert(&mut self, new: &New<'_>) -> rusqlite::Result<()> {
        let New { id, line, spec, texts, input, accepted_at } = new;
        let turn = spec.turn.as_ref().map(|turn| Json::from_value(turn).unwrap_or_default());
        let accepted_at = (*accepted_at != spec.created_at).then_some(accepted_at.as_millis());
        self.insert.execute(params![
            id.key().as_i64(),
            id.random().cast_signed(),
            line.queue,
            line.kind,
            line.tenant,
            line.priority,
            spec.created_at.as_millis(),
            accepted_at,
            spec.run_at.as_millis(),
            spec.max_attempts,
            millis(spec.timeout_ms),
            spec.backoff.base_ms,
            spec.backoff.cap_ms,
            millis(spec.retention_ms),
            spec.deadline.map(Time::as_millis),
            texts.retry_of,
            texts.labels,
            input.as_str(),
            line.lane,
            texts.webhook,
            spec.concurrency_key.as_ref().map(ConcurrencyKey::as_str),
            texts.parent,
            turn.as_ref().map(Json::as_str),
        ])?;
        Ok(())
    }

    pub(crate) fn delete(&mut self, key: JobKey) -> rusqlite::Result<()> {
        self.delete.execute([key.as_i64()]).map(drop)
    }

    /// The full id of a job, and the number of its tenant.
    pub(crate) fn owner(&mut self, key: JobKey) -> rusqlite::Result<Option<(JobId, i64)>> {
        let read = |row: &Row<'_>| Ok((JobId::new(key, column::unsigned(row, 0)?), row.get(1)?));
        self.owner.query_row([key.as_i64()], read).optional()
    }
}
