use raincheck_core::{JobKey, Json, Outcome, State, Time};
use raincheck_store::StoreError;
use rusqlite::{Connection, OptionalExtension, Statement, params};

use crate::fault::unreadable;
use crate::hot::Hot;
use crate::table::column::{self, state_number};

/// The statements on `finished`.
pub(crate) struct Finished<'c> {
    insert: Statement<'c>,
    delete: Statement<'c>,
    state: Statement<'c>,
    due: Statement<'c>,
}

impl<'c> Finished<'c> {
    pub(crate) fn prepare(connection: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            insert: connection.prepare(
                "INSERT INTO finished VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
            )?,
            delete: connection.prepare("DELETE FROM finished WHERE key = ?1")?,
            state: connection.prepare("SELECT state FROM finished WHERE key = ?1")?,
            due: connection
                .prepare("SELECT key FROM finished WHERE expires_at <= ?1 ORDER BY expires_at, key LIMIT ?2")?,
        })
    }

    pub(crate) fn insert(&mut self, hot: &Hot, outcome: &Outcome) -> rusqlite::Result<()> {
        let life = &hot.life;
        let problem;
        let outcome = match outcome {
            Outcome::Completed(result) => Some(result.as_str()),
            Outcome::Failed(error) => {
                problem = Json::from_value(error).unwrap_or_default();
                Some(problem.as_str())
            }
            Outcome::Cancelled(reason) => reason.as_deref(),
            Outcome::Expired => None,
        };
        self.insert.execute(params![
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
            life.finished_at.map(Time::as_millis),
            life.expires_at.map(Time::as_millis),
            outcome,
        ])?;
        Ok(())
    }

    pub(crate) fn delete(&mut self, key: JobKey) -> rusqlite::Result<()> {
        self.delete.execute([key.as_i64()]).map(drop)
    }

    /// The final state of a job, if it has ended.
    pub(crate) fn state(&mut self, key: JobKey) -> rusqlite::Result<Option<State>> {
        self.state.query_row([key.as_i64()], |row| column::state(row, 0)).optional()
    }

    /// The jobs whose retention has ended.
    pub(crate) fn due(&mut self, now: Time, max: usize) -> rusqlite::Result<Vec<JobKey>> {
        let max = i64::try_from(max).unwrap_or(i64::MAX);
        self.due.query_map([now.as_millis(), max], |row| column::key(row, 0))?.collect()
    }
}

/// The outcome that a row holds for its state.
pub(crate) fn outcome(state: State, text: Option<&str>) -> Result<Outcome, StoreError> {
    match (state, text) {
        (State::Completed, Some(result)) => {
            Json::from_text(result.to_owned()).map(Outcome::Completed).map_err(unreadable)
        }
        (State::Failed, Some(problem)) => serde_json::from_str(problem).map(Outcome::Failed).map_err(unreadable),
        (State::Cancelled, reason) => Ok(Outcome::Cancelled(reason.map(str::to_owned))),
        (State::Expired, None) => Ok(Outcome::Expired),
        (state, _) => Err(StoreError::Unreadable(format!("a job is {state} and its outcome does not fit"))),
    }
}
