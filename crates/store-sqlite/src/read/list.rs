use std::collections::BTreeMap;

use raincheck_core::{Job, JobKey, Json, State, Time};
use raincheck_store::{Filter, ListPage};
use rusqlite::{Connection, Statement, ToSql};

use crate::fault::Fault;
use crate::names::Names;
use crate::read::job;
use crate::table::column::{self, state_number};
use crate::table::event;

/// How many jobs a call looks at.
const LOOKS_AT: usize = 1_000;

/// Jobs that pass the filter, newest first.
pub(crate) fn list(
    connection: &Connection,
    filter: &Filter,
    max: usize,
    now: Time,
    names: &Names,
) -> Result<ListPage, Fault> {
    let mut page = ListPage::default();
    let Some(LineFilter { tenant, kind, queue }) = LineFilter::of(filter, names) else { return Ok(page) };
    // Columns are compared as they are: only what seems to pass is read as a job.
    let Walk { table, from, state } = Walk::over(filter.state);
    let sql = format!(
        "SELECT {table}.key, (?3 IS NULL OR accepted.tenant = ?3) AND (?4 IS NULL OR accepted.kind = ?4) \
         AND (?5 IS NULL OR accepted.queue = ?5) AND (?6 IS NULL OR instr(accepted.labels, ?6) > 0) AND {state} \
         FROM {from} WHERE {table}.key < ?1 ORDER BY {table}.key DESC LIMIT ?2"
    );
    let mut walk = connection.prepare_cached(&sql)?;
    let mut job =
        connection.prepare_cached(&format!("SELECT {} {} WHERE accepted.key = ?1", job::columns(), job::FROM))?;
    let before = filter.before.map_or(i64::MAX, |key| key.as_i64());
    // One more, to know whether there is a next page.
    let limit = i64::try_from(LOOKS_AT + 1).unwrap_or(i64::MAX);
    let (label, number, millis) = (label(filter), filter.state.map(state_number), now.as_millis());
    let mut values: Vec<&dyn ToSql> = vec![&before, &limit, &tenant, &kind, &queue, &label, &number, &millis];
    // Not every walk asks for the state and the time.
    values.truncate(walk.parameter_count());
    let mut rows = walk.query(&*values)?;
    let mut last = None;
    for looked in 0.. {
        let Some(row) = rows.next()? else { break };
        if page.jobs.len() >= max || looked == LOOKS_AT {
            page.next = last;
            break;
        }
        let key = column::key(row, 0)?;
        last = Some(key);
        // NULL: it has no labels at all.
        if row.get::<_, Option<bool>>(1)?.unwrap_or(false)
            && let Some((mut job, progress_seq)) = read(&mut job, key, names)?
            && filter.passes(&job, now)
        {
            job.life.progress = event::progress(connection, key, progress_seq)?;
            page.jobs.push(job);
        }
    }
    Ok(page)
}

/// A job, and the event that holds its progress.
fn read(select: &mut Statement<'_>, key: JobKey, names: &Names) -> Result<Option<(Job, u64)>, Fault> {
    let mut rows = select.query([key.as_i64()])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let (found, progress_seq) = job::read(row, None)?;
    Ok(Some((found.job(names)?, progress_seq)))
}

/// The part of a label's text that the first label of the filter makes, if it asks for one.
fn label(filter: &Filter) -> Option<String> {
    let (name, value) = filter.labels.first()?;
    let json = Json::from_value(&BTreeMap::from([(name, value)])).ok()?;
    json.as_str().strip_prefix('{')?.strip_suffix('}').map(str::to_owned)
}

/// The numbers of the names that a filter asks for.
struct LineFilter {
    tenant: Option<i64>,
    kind: Option<i64>,
    queue: Option<i64>,
}

impl LineFilter {
    /// `None` if one of them has no number: then no job has it.
    fn of(filter: &Filter, names: &Names) -> Option<Self> {
        let number = |text: Option<&str>| text.map_or(Some(None), |text| names.number(text).map(Some));
        Some(Self {
            tenant: number(filter.tenant.as_ref().map(|tenant| tenant.as_str()))?,
            kind: number(filter.kind.as_ref().map(|kind| kind.as_str()))?,
            queue: number(filter.queue.as_ref().map(|queue| queue.as_str()))?,
        })
    }
}

/// The table that is walked along.
struct Walk {
    table: &'static str,
    /// With what was asked for.
    from: &'static str,
    /// The condition on the state, which is `?7`, at the time `?8`.
    state: &'static str,
}

impl Walk {
    /// The one that has the jobs in this state: few wait or run where many have ended.
    fn over(state: Option<State>) -> Self {
        match state {
            None => Self { table: "accepted", from: "accepted", state: "1" },
            Some(state) if state.is_final() => Self {
                table: "finished",
                from: "finished CROSS JOIN accepted ON accepted.key = finished.key",
                state: "finished.state = ?7",
            },
            // As Life::state_at: scheduled (0) and waiting (3) become queued (1).
            Some(_) => Self {
                table: "live",
                from: "live CROSS JOIN accepted ON accepted.key = live.key",
                state: "?7 = CASE WHEN live.state IN (0, 3) AND live.run_at <= ?8 THEN 1 ELSE live.state END",
            },
        }
    }
}
