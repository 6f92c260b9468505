use raincheck_core::{ConcurrencyKey, JobKey, Json, State, Time, WorkerId};
use raincheck_store::StoreError;
use rusqlite::Row;
use rusqlite::types::Type;
use serde::de::DeserializeOwned;

use crate::fault::unreadable;

/// A number that is never negative.
pub(crate) fn unsigned(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let number: i64 = row.get(column)?;
    u64::try_from(number).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, number))
}

/// The key of a job.
pub(crate) fn key(row: &Row<'_>, column: usize) -> rusqlite::Result<JobKey> {
    let number = row.get(column)?;
    JobKey::from_i64(number).ok_or(rusqlite::Error::IntegralValueOutOfRange(column, number))
}

/// A moment.
pub(crate) fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<Time> {
    row.get(column).map(Time::from_millis)
}

/// A moment that need not be.
pub(crate) fn time_if_any(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Time>> {
    row.get::<_, Option<i64>>(column).map(|millis| millis.map(Time::from_millis))
}

/// A worker, if there is one.
pub(crate) fn worker(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<WorkerId>> {
    let name = row.get_ref(column)?.as_str_or_null();
    let name = name.map_err(|error| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, error.into()))?;
    Ok(name.map(WorkerId::new))
}

/// A concurrency key, if there is one.
pub(crate) fn concurrency_key(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<ConcurrencyKey>> {
    let text = row.get_ref(column)?.as_str_or_null();
    let text = text.map_err(|error| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, error.into()))?;
    let key = text.map(str::parse).transpose();
    key.map_err(|error| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error)))
}

/// Text, borrowed from the row.
pub(crate) fn text<'r>(row: &'r Row<'_>, column: usize) -> rusqlite::Result<&'r str> {
    let value = row.get_ref(column)?.as_str();
    value.map_err(|error| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, error.into()))
}

/// JSON text as it is, if there is any.
pub(crate) fn json_text(text: Option<String>) -> Result<Option<Json>, StoreError> {
    text.map(Json::from_text).transpose().map_err(unreadable)
}

/// What JSON text says, if there is any.
pub(crate) fn json_if_any<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<T>> {
    let text = row.get_ref(column)?.as_str_or_null();
    let text = text.map_err(|error| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, error.into()))?;
    let read = |text| serde_json::from_str(text);
    let value = text.map(read).transpose();
    value.map_err(|error| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, error.into()))
}

/// The state of a job.
pub(crate) fn state(row: &Row<'_>, column: usize) -> rusqlite::Result<State> {
    let number: i64 = row.get(column)?;
    let state = usize::try_from(number).ok().and_then(|index| STATES.get(index)).copied();
    state.ok_or(rusqlite::Error::IntegralValueOutOfRange(column, number))
}

/// The states by the numbers that stand for them in the tables. The order is part of the schema.
const STATES: [State; 8] = [
    State::Scheduled,
    State::Queued,
    State::Running,
    State::Waiting,
    State::Completed,
    State::Failed,
    State::Cancelled,
    State::Expired,
];

/// The number that stands for a state.
pub(crate) fn state_number(state: State) -> u8 {
    match state {
        State::Scheduled => 0,
        State::Queued => 1,
        State::Running => 2,
        State::Waiting => 3,
        State::Completed => 4,
        State::Failed => 5,
        State::Cancelled => 6,
        State::Expired => 7,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_of_the_states_are_those_of_the_schema() {
        for (number, state) in (0..).zip(STATES) {
            assert_eq!(state_number(state), number);
        }
    }
}
