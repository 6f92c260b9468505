use raincheck_core::{Fence, Lease, Life, WorkerId};
use rusqlite::Row;

use crate::table::column;

/// The columns that `live` and `finished` have in common, from which [`read`] makes a [`Stored`].
pub(crate) const COLUMNS: &str = "state, attempt, failures, lease_losses, fence, run_at, cancel_requested, last_seq, \
     steps, progress_seq, started_at, first_worker";

/// How many columns these are.
pub(crate) const WIDTH: usize = 12;

/// A job's life as a row holds it.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    /// Without its progress, which the event `progress_seq` holds.
    pub(crate) life: Life,
    /// The event that holds the progress; 0 if there is none.
    pub(crate) progress_seq: u64,
    /// Who ran the first attempt.
    pub(crate) first_worker: Option<WorkerId>,
}

/// Reads the common columns, the first of which is `at`.
fn read(row: &Row<'_>, at: usize) -> rusqlite::Result<Stored> {
    let life = Life {
        state: column::state(row, at)?,
        attempt: row.get(at + 1)?,
        failures: row.get(at + 2)?,
        lease_losses: row.get(at + 3)?,
        fence: Fence(column::unsigned(row, at + 4)?),
        lease: None,
        run_at: column::time(row, at + 5)?,
        cancel_requested: row.get(at + 6)?,
        last_seq: column::unsigned(row, at + 7)?,
        steps: row.get(at + 8)?,
        progress: None,
        started_at: column::time_if_any(row, at + 10)?,
        finished_at: None,
        expires_at: None,
    };
    Ok(Stored { life, progress_seq: column::unsigned(row, at + 9)?, first_worker: column::worker(row, at + 11)? })
}

/// Reads a row of `live`: the common columns, worker, lease_until.
pub(crate) fn read_live(row: &Row<'_>, at: usize) -> rusqlite::Result<Stored> {
    let mut stored = read(row, at)?;
    if let (Some(worker), Some(until)) = (column::worker(row, at + WIDTH)?, column::time_if_any(row, at + WIDTH + 1)?) {
        stored.life.lease = Some(Lease { worker, until });
    }
    Ok(stored)
}

/// Reads a row of `finished`: the common columns, finished_at, expires_at.
pub(crate) fn read_finished(row: &Row<'_>, at: usize) -> rusqlite::Result<Stored> {
    let mut stored = read(row, at)?;
    stored.life.finished_at = column::time_if_any(row, at + WIDTH)?;
    stored.life.expires_at = column::time_if_any(row, at + WIDTH + 1)?;
    Ok(stored)
}
