use std::sync::Arc;

use raincheck_core::{Event, EventBody, JobId, Life, Line, Outcome, Rules, Turn, WorkerId};

use crate::fault::Fault;
use crate::names::Numbers;
use crate::table::Tables;
use crate::table::accepted::Request;
use crate::table::event;
use crate::table::life::Stored;

/// All that a change of a job needs to know of it.
#[derive(Clone, Debug)]
pub(crate) struct Hot {
    pub(crate) id: JobId,
    pub(crate) line: Arc<Line>,
    pub(crate) rules: Rules,
    pub(crate) life: Life,
    /// The event that holds the progress; 0 if there is none.
    pub(crate) progress_seq: u64,
    /// Who ran the first attempt.
    pub(crate) first_worker: Option<WorkerId>,
    /// The turn of a conversation that it gives.
    pub(crate) turn: Option<Box<Turn>>,
}

impl Hot {
    /// What the tables hold of a job that has not ended.
    pub(crate) fn read(
        tables: &mut Tables<'_>,
        numbers: &mut Numbers,
        request: &Request,
        stored: Stored,
    ) -> Result<Self, Fault> {
        let mut life = stored.life;
        life.progress = event::progress(tables.connection, request.id.key(), stored.progress_seq)?;
        Ok(Self {
            id: request.id,
            line: numbers.keyed_line(request.line, request.concurrency_key.as_ref())?,
            rules: request.rules,
            life,
            progress_seq: stored.progress_seq,
            first_worker: stored.first_worker,
            turn: request.turn.clone(),
        })
    }

    /// What it becomes by these events, which lead to this life.
    pub(crate) fn after(&self, life: Life, events: &[Event]) -> Self {
        let mut after = Self {
            id: self.id,
            line: Arc::clone(&self.line),
            rules: self.rules,
            life,
            progress_seq: self.progress_seq,
            first_worker: self.first_worker.clone(),
            turn: self.turn.clone(),
        };
        for event in events {
            match &event.body {
                EventBody::Progress(_) => after.progress_seq = event.seq,
                EventBody::Started(worker) => {
                    after.progress_seq = 0;
                    after.first_worker.get_or_insert_with(|| worker.clone());
                }
                _ => {}
            }
        }
        after
    }
}

/// The event that every started job has at this place of its log: it is kept in the row, not as an event.
pub(crate) const FIRST_START_SEQ: u64 = 2;

/// Writes what becomes of a job that has not ended.
pub(crate) fn write(tables: &mut Tables<'_>, before: &Hot, after: &Hot, events: &[Event]) -> Result<(), Fault> {
    let key = after.id.key();
    let mut outcome: Option<&Outcome> = None;
    for event in events {
        match &event.body {
            EventBody::Finished(how) => outcome = Some(how),
            EventBody::Started(_) if event.seq == FIRST_START_SEQ => {}
            _ => tables.event.insert(key, event)?,
        }
    }
    if let Some(outcome) = outcome {
        tables.live.delete(key)?;
        tables.finished.insert(after, outcome)?;
        if let (true, Some(ended_at)) = (after.rules.is_told, after.life.finished_at) {
            tables.delivery.add(after.id, &after.line.tenant, ended_at)?;
        }
    } else if before.life.lease.is_none() || after.life.lease.is_none() || events.is_empty() != same_log(before, after)
    {
        tables.live.update(after)?;
    } else if events.is_empty() {
        tables.live.update_lease(after)?;
    } else if before.life.cancel_requested == after.life.cancel_requested {
        tables.live.update_log(after)?;
    } else {
        tables.live.update(after)?;
    }
    Ok(())
}

fn same_log(before: &Hot, after: &Hot) -> bool {
    before.life.last_seq == after.life.last_seq
}
