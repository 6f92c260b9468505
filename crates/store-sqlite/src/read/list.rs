use raincheck_core::{Job, Time};
use raincheck_store::{Filter, ListPage};
use rusqlite::{Connection, params};

use crate::fault::Fault;
use crate::names::Names;
use crate::read::job;
use crate::table::event;

/// How many jobs a call looks at.
const LOOKS_AT: usize = 10_000;

/// Jobs that pass the filter, newest first.
pub(crate) fn list(
    connection: &Connection,
    filter: &Filter,
    max: usize,
    now: Time,
    names: &Names,
) -> Result<ListPage, Fault> {
    let columns = job::columns();
    let from = job::FROM;
    let sql = format!("SELECT {columns} {from} WHERE accepted.key < ?1 ORDER BY accepted.key DESC LIMIT ?2");
    let mut select = connection.prepare_cached(&sql)?;
    let before = filter.before.map_or(i64::MAX, |key| key.as_i64());
    // One more, to know whether there is a next page.
    let limit = i64::try_from(LOOKS_AT + 1).unwrap_or(i64::MAX);
    let mut rows = select.query(params![before, limit])?;
    let (mut page, mut last) = (ListPage::default(), None);
    for looked in 0.. {
        let Some(row) = rows.next()? else { break };
        if page.jobs.len() >= max || looked == LOOKS_AT {
            page.next = last;
            break;
        }
        let (found, progress_seq) = job::read(row, None)?;
        let key = found.request.id.key();
        last = Some(key);
        let mut job: Job = found.job(names)?;
        if filter.passes(&job, now) {
            job.life.progress = event::progress(connection, key, progress_seq)?;
            page.jobs.push(job);
        }
    }
    Ok(page)
}
