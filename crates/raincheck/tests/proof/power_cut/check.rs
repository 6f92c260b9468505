//! Whether what was left by a power cut still is what clients were told.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use raincheck_core::{EventBody, Job, JobId};
use raincheck_store::{Filter, Silent, Store};
use raincheck_store_sqlite::{Options, SqliteStore};

use super::super::job::is_final;
use super::trace::Told;

/// What clients have been told: for each job the most that they know.
#[derive(Clone, Default)]
pub(super) struct Acknowledged(BTreeMap<String, Known>);

#[derive(Clone, Default)]
struct Known {
    ended_as: Option<String>,
    cancel_requested: bool,
}

impl Acknowledged {
    pub(super) fn tell(&mut self, told: &Told) {
        let known = self.0.entry(told.id.clone()).or_default();
        known.cancel_requested |= told.cancel_requested;
        if is_final(&told.state) {
            known.ended_as = Some(told.state.clone());
        }
    }

    pub(super) fn contains(&self, id: &str) -> bool {
        self.0.contains_key(id)
    }
}

/// Opens the directory with the real store and looks at every job there is and every job there should be.
pub(super) fn check(directory: &Path, acknowledged: &Acknowledged) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(|error| error.to_string())?;
    runtime.block_on(async {
        let options = Options { readers: 1, ..Options::new(directory) };
        let store = SqliteStore::open(options, Arc::new(Silent)).await;
        let store = store.map_err(|error| format!("the store does not open: {error}"))?;
        let there = all(&store).await?;
        for (id, known) in &acknowledged.0 {
            let job = there.get(id).ok_or_else(|| format!("{id} was told of and is not there"))?;
            let state = job.life.state.as_str();
            if known.ended_as.as_ref().is_some_and(|told| told != state) {
                return Err(format!("{id} was seen as {:?} and is {state}", known.ended_as));
            }
            if known.cancel_requested && !job.life.cancel_requested && !job.life.state.is_final() {
                return Err(format!("{id}: an acknowledged cancel is forgotten"));
            }
        }
        for job in there.values() {
            check_log(&store, job).await.map_err(|fault| format!("{}: {fault}", job.id))?;
        }
        store.close().await.map_err(|error| format!("the store does not close: {error}"))
    })
}

async fn all(store: &SqliteStore) -> Result<BTreeMap<String, Job>, String> {
    let (mut jobs, mut filter) = (BTreeMap::new(), Filter::default());
    loop {
        let now = raincheck_core::Time::from_millis(i64::MAX / 4);
        let page = store.list(filter.clone(), 1_000, now).await.map_err(|error| format!("no list: {error}"))?;
        jobs.extend(page.jobs.into_iter().map(|job| (job.id.to_string(), job)));
        match page.next {
            Some(next) => filter.before = Some(next),
            None => return Ok(jobs),
        }
    }
}

async fn check_log(store: &SqliteStore, listed: &Job) -> Result<(), String> {
    let id: JobId = listed.id;
    let told = |error: raincheck_store::StoreError| error.to_string();
    let job = store.get(id, None).await.map_err(told)?.ok_or("listed and not there")?;
    store.input(id).await.map_err(told)?.ok_or("its input is missing")?;
    let mut log = Vec::new();
    loop {
        let page =
            store.read_log(id, None, log.len() as u64, 1_000).await.map_err(told)?.ok_or("its log is missing")?;
        let (count, last_seq) = (page.events.len(), page.last_seq);
        log.extend(page.events);
        if log.len() as u64 == last_seq {
            break;
        }
        if count == 0 {
            return Err(format!("its log ends at {} of {last_seq}", log.len()));
        }
    }
    let numbered = log.iter().map(|event| event.seq).eq(1..=job.life.last_seq);
    let begins = matches!(log.first().map(|event| &event.body), Some(EventBody::Accepted(_)));
    let finals = log.iter().filter(|event| event.body.event_type().is_final()).count();
    let ends = log.last().is_some_and(|event| event.body.event_type().is_final());
    let agrees = ends == job.life.state.is_final() && finals == usize::from(ends);
    if numbered && begins && agrees { Ok(()) } else { Err(format!("its log is broken: {log:?}")) }
}
