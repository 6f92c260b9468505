use raincheck_core::{ConversationId, JobId, Json, Message, MessageId, MessageState, Outcome, Role, Time, Turn};
use raincheck_store::{MessagesPage, MessagesRead, Order};
use rusqlite::{Connection, Row, params};

use crate::fault::Fault;
use crate::table::column;

/// The roles by the numbers that stand for them. The order is part of the schema.
const ROLES: [Role; 3] = [Role::User, Role::Assistant, Role::System];
/// The states by the numbers that stand for them. The order is part of the schema.
const STATES: [MessageState; 5] = [
    MessageState::Processing,
    MessageState::Completed,
    MessageState::Failed,
    MessageState::Cancelled,
    MessageState::Expired,
];

fn number_of<T: PartialEq>(all: &[T], one: &T) -> u8 {
    all.iter().zip(0..).find(|(other, _)| *other == one).map_or(u8::MAX, |(_, number)| number)
}

fn of_number<T: Copy>(all: &[T], row: &Row<'_>, at: usize) -> rusqlite::Result<T> {
    let number: i64 = row.get(at)?;
    let one = usize::try_from(number).ok().and_then(|index| all.get(index)).copied();
    one.ok_or(rusqlite::Error::IntegralValueOutOfRange(at, number))
}

fn read(row: &Row<'_>) -> Result<Message, Fault> {
    let (content, metadata): (Option<String>, Option<String>) = (row.get(5)?, row.get(7)?);
    let job = match row.get_ref(8)? {
        rusqlite::types::ValueRef::Null => None,
        _ => Some(JobId::new(column::key(row, 8)?, column::unsigned(row, 9)?)),
    };
    Ok(Message {
        id: MessageId::new(column::key(row, 1)?, column::unsigned(row, 2)?),
        number: row.get(0)?,
        role: of_number(&ROLES, row, 3)?,
        state: of_number(&STATES, row, 4)?,
        content: column::json_text(content)?,
        error: column::json_if_any(row, 6)?,
        metadata: column::json_text(metadata)?,
        job,
        created_at: column::time(row, 10)?,
        finished_at: column::time_if_any(row, 11)?,
    })
}

/// A page of the messages of a conversation that has so many.
pub(crate) fn page(connection: &Connection, wanted: &MessagesRead, messages: u32) -> Result<MessagesPage, Fault> {
    let direction = match wanted.order {
        Order::OldestFirst => "ASC",
        Order::NewestFirst => "DESC",
    };
    let sql = format!(
        "SELECT number, key, random, role, state, content, error, metadata, job_key, job_random, created_at, finished_at \
         FROM message WHERE conversation = ?1 AND number BETWEEN ?2 AND ?3 ORDER BY number {direction}"
    );
    let numbers = wanted.numbers(messages);
    let mut select = connection.prepare_cached(&sql)?;
    let mut rows = select.query(params![wanted.conversation.key().as_i64(), numbers.start(), numbers.end()])?;
    let coming =
        std::iter::from_fn(|| rows.next().map_err(Fault::from).and_then(|row| row.map(read).transpose()).transpose());
    wanted.page(messages, coming)
}

/// Stores a message.
pub(crate) fn insert(connection: &Connection, conversation: ConversationId, new: &Message) -> rusqlite::Result<()> {
    let sql = "INSERT INTO message VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)";
    let error = new.error.as_ref().map(|error| Json::from_value(error).unwrap_or_default());
    connection.prepare_cached(sql)?.execute(params![
        conversation.key().as_i64(),
        new.number,
        new.id.key().as_i64(),
        new.id.random().cast_signed(),
        number_of(&ROLES, &new.role),
        number_of(&STATES, &new.state),
        new.content.as_ref().map(Json::as_str),
        error.as_ref().map(Json::as_str),
        new.metadata.as_ref().map(Json::as_str),
        new.job.map(|job| job.key().as_i64()),
        new.job.map(|job| job.random().cast_signed()),
        new.created_at.as_millis(),
        new.finished_at.map(Time::as_millis),
    ])?;
    Ok(())
}

/// Settles the answer of a turn, if it is still there.
pub(crate) fn settle(
    connection: &Connection,
    turn: &Turn,
    outcome: &Outcome,
    reply: Option<&Json>,
    now: Time,
) -> rusqlite::Result<()> {
    // What it was before does not matter: only what an end makes of it is written.
    let mut answer = Message::said(turn.answer, turn.answer_number(), Role::Assistant, Json::null(), now);
    answer.content = None;
    answer.end(outcome, reply, now);
    let error = answer.error.as_ref().map(|error| Json::from_value(error).unwrap_or_default());
    let sql = "UPDATE message SET state = ?4, content = ?5, error = ?6, finished_at = ?7 \
               WHERE conversation = ?1 AND number = ?2 AND random = ?3";
    connection.prepare_cached(sql)?.execute(params![
        turn.conversation.key().as_i64(),
        answer.number,
        turn.answer.random().cast_signed(),
        number_of(&STATES, &answer.state),
        answer.content.as_ref().map(Json::as_str),
        error.as_ref().map(Json::as_str),
        now.as_millis(),
    ])?;
    Ok(())
}

/// The jobs that are to answer in a conversation.
pub(crate) fn awaited(connection: &Connection, conversation: ConversationId) -> rusqlite::Result<Vec<JobId>> {
    let sql = "SELECT job_key, job_random FROM message \
               WHERE conversation = ?1 AND state = 0 AND job_key IS NOT NULL ORDER BY number";
    let read = |row: &Row<'_>| Ok(JobId::new(column::key(row, 0)?, column::unsigned(row, 1)?));
    connection.prepare_cached(sql)?.query_map([conversation.key().as_i64()], read)?.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_the_schema() {
        assert_eq!(ROLES.map(|role| number_of(&ROLES, &role)), [0, 1, 2]);
        assert_eq!(STATES.map(|state| number_of(&STATES, &state)), [0, 1, 2, 3, 4]);
    }
}
