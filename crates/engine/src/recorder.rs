use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use raincheck_core::{Event, JobKey, Note, Progress, Time};
use raincheck_store::{Append, Store, StoreError};
use tokio::sync::{Notify, OwnedMutexGuard};

use crate::running::Running;
use crate::{Clock, Failure, Stop};

/// How many notes of one attempt may wait to be recorded before [`crate::Context::emit`] waits.
const UNRECORDED_MAX: usize = 256;
/// How many attempts' notes go to the store in one call.
const BATCH_MAX: usize = 512;
/// How long to wait before a call that the store refused is made again.
const RETRY_AFTER: Duration = Duration::from_millis(50);

/// Takes what handlers say and brings it to the store, many attempts in one call. Output and steps go at once; progress
/// alone waits for the next tick, or longer once the log is long ([`crate::pace`]), and of several reports in a row only
/// the last is kept.
#[derive(Clone)]
pub(crate) struct Recorder(Arc<Inner>);

struct Inner {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    progress_interval: Duration,
    dirty: Mutex<BTreeMap<JobKey, Arc<Running>>>,
    urgent: Notify,
    any: Notify,
}

impl Recorder {
    pub(crate) fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, progress_interval: Duration) -> Self {
        let (urgent, any) = (Notify::new(), Notify::new());
        Self(Arc::new(Inner { store, clock, progress_interval, dirty: Mutex::default(), urgent, any }))
    }

    fn dirty(&self) -> MutexGuard<'_, BTreeMap<JobKey, Arc<Running>>> {
        self.0.dirty.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn now(&self) -> Time {
        self.0.clock.now()
    }

    pub(crate) async fn log(&self, running: &Running, seq: u64, max: usize) -> Result<Vec<Event>, Failure> {
        let page = self.0.store.read_log(running.id(), None, seq, max).await;
        let page = page.map_err(|error| Failure::transient(format!("the job's log cannot be read: {error}")))?;
        Ok(page.map(|page| page.events).unwrap_or_default())
    }

    /// Takes a note. Never waits.
    pub(crate) fn push(&self, running: &Arc<Running>, note: Note) {
        self.take(running, note, false);
    }

    /// Takes a report that no other may take the place of.
    pub(crate) fn push_line(&self, running: &Arc<Running>, progress: Progress) {
        self.take(running, Note::Progress(progress), true);
    }

    fn take(&self, running: &Arc<Running>, note: Note, is_kept: bool) {
        let is_progress = matches!(note, Note::Progress(_));
        let mut unrecorded = running.unrecorded();
        // Asked while the notes are locked: it is always said of the last of them.
        let last_is_kept = running.last_is_kept.swap(is_kept, Ordering::Relaxed);
        match (unrecorded.last_mut(), note) {
            (Some(Note::Progress(last)), Note::Progress(progress)) if !last_is_kept => {
                *last = progress;
                return;
            }
            (_, note) => unrecorded.push(note),
        }
        drop(unrecorded);
        self.dirty().insert(running.id().key(), Arc::clone(running));
        if is_progress { self.0.any.notify_one() } else { self.0.urgent.notify_one() }
    }

    /// Waits until another note may be taken.
    pub(crate) async fn room(&self, running: &Running) -> Result<(), Failure> {
        self.wait(running, |notes| notes.len() < UNRECORDED_MAX).await
    }

    /// Waits until everything said so far is durable.
    pub(crate) async fn flushed(&self, running: &Running) -> Result<(), Failure> {
        self.wait(running, |notes| notes.is_empty()).await?;
        drop(running.recording.lock().await);
        if running.stop_reason() == Some(Stop::LeaseLost) { Err(Failure::cancelled()) } else { Ok(()) }
    }

    async fn wait(&self, running: &Running, done: impl Fn(&[Note]) -> bool) -> Result<(), Failure> {
        loop {
            let recorded = running.recorded.notified();
            if done(&running.unrecorded()) {
                return Ok(());
            }
            tokio::select! {
                biased;
                () = recorded => {}
                _ = running.stopped() => return Err(Failure::cancelled()),
            }
        }
    }

    /// Brings notes to the store until it is dropped.
    pub(crate) async fn run(self) {
        loop {
            tokio::select! {
                biased;
                () = self.0.urgent.notified() => {}
                () = self.0.any.notified() => {
                    // Progress alone: let more of it come, unless something urgent does.
                    tokio::select! {
                        biased;
                        () = self.0.urgent.notified() => {}
                        () = tokio::time::sleep(self.0.progress_interval) => {}
                    }
                }
            }
            while self.flush().await {}
        }
    }

    /// Records a batch; whether more is there.
    async fn flush(&self) -> bool {
        let (mut batch, mut later) = (Vec::new(), Vec::new());
        {
            let mut dirty = self.dirty();
            while batch.len() < BATCH_MAX
                && let Some((key, running)) = dirty.pop_first()
            {
                if self.can_wait(&running) {
                    later.push((key, running));
                    continue;
                }
                // If this is taken, the attempt is just ending and takes its last notes along.
                if let Ok(guard) = Arc::clone(&running.recording).try_lock_owned() {
                    batch.push((running, guard));
                }
            }
            if !later.is_empty() {
                dirty.extend(later);
                self.0.any.notify_one();
            }
        }
        let more = batch.len() == BATCH_MAX;
        self.record(batch).await;
        more
    }

    /// Whether there is nothing but progress to record, and that can wait a little longer.
    fn can_wait(&self, running: &Running) -> bool {
        let only_progress = matches!(running.unrecorded()[..], [Note::Progress(_)]);
        only_progress && !running.pace().is_due(self.0.progress_interval, self.0.clock.now())
    }

    async fn record(&self, batch: Vec<(Arc<Running>, OwnedMutexGuard<()>)>) {
        let append = |(running, _): &(Arc<Running>, _)| {
            let notes = std::mem::take(&mut *running.unrecorded());
            Append { job: running.id(), fence: running.fence(), notes, after: None }
        };
        let appends: Vec<Append> = batch.iter().map(append).filter(|append| !append.notes.is_empty()).collect();
        if appends.is_empty() {
            return;
        }
        let jobs: Vec<_> = appends.iter().map(|append| append.job).collect();
        let result = loop {
            match self.0.store.append(appends.clone(), self.0.clock.now()).await {
                Err(StoreError::Overloaded(_) | StoreError::Full) => tokio::time::sleep(RETRY_AFTER).await,
                result => break result,
            }
        };
        for (running, _guard) in &batch {
            let place = jobs.iter().position(|job| *job == running.id());
            let refused = match (&result, place) {
                (Ok(results), Some(place)) => match results.get(place) {
                    Some(Ok(last_seq)) => {
                        running.pace().recorded(*last_seq, self.0.clock.now());
                        false
                    }
                    _ => true,
                },
                (Ok(_), None) => false,
                (Err(_), _) => true,
            };
            if refused {
                running.ask_to_stop(Stop::LeaseLost);
            }
            running.recorded.notify_waiters();
        }
    }
}
