//! The tables, one file for each: all SQL that the writer runs, and how rows are read.

pub(crate) mod accepted;
pub(crate) mod api_key;
pub(crate) mod column;
pub(crate) mod conversation;
pub(crate) mod delivery;
pub(crate) mod event;
pub(crate) mod finished;
pub(crate) mod idempotency;
pub(crate) mod life;
pub(crate) mod live;
pub(crate) mod message;
pub(crate) mod name;
pub(crate) mod paused;
pub(crate) mod summary;
pub(crate) mod webhook_secret;

use rusqlite::Connection;

/// The prepared statements of the writer.
pub(crate) struct Tables<'c> {
    pub(crate) connection: &'c Connection,
    pub(crate) accepted: accepted::Accepted<'c>,
    pub(crate) delivery: delivery::Deliveries<'c>,
    pub(crate) event: event::Events<'c>,
    pub(crate) finished: finished::Finished<'c>,
    pub(crate) idempotency: idempotency::Keys<'c>,
    pub(crate) live: live::Live<'c>,
}

impl<'c> Tables<'c> {
    pub(crate) fn prepare(connection: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            connection,
            accepted: accepted::Accepted::prepare(connection)?,
            delivery: delivery::Deliveries::prepare(connection)?,
            event: event::Events::prepare(connection)?,
            finished: finished::Finished::prepare(connection)?,
            idempotency: idempotency::Keys::prepare(connection)?,
            live: live::Live::prepare(connection)?,
        })
    }
}
