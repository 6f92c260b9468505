mod conversations;
mod deliveries;
mod inner;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use raincheck_core::{
    Command, Event, EventBody, Job, JobId, JobKey, Json, Life, Line, Place, QueueName, Refusal, State, StepRecord,
    Tenant, Time, WorkerId,
};

use self::inner::{Entry, Inner};
use crate::{
    Acceptance, ApiKey, Append, Beat, Beaten, Cancel, Cancelled, Change, ClaimRequest, Claims, Delivery,
    DeliveryRequest, DueDeliveries, Filter, Finish, Idempotency, Limits, ListPage, LogPage, NewJob, Observer,
    QueueStatus, Store, StoreError, Swept, Tried, WebhookSecrets,
};

/// How many jobs a call of `list` looks at.
const LIST_LOOKS_AT: usize = 10_000;
/// A page of a log ends after about so many bytes.
const LOG_PAGE_BYTES: usize = 1 << 20;

/// The model of a store: all promises but durability. It is what tests and simulations run on, what other stores are
/// compared with, and `raincheck serve --store memory` for trials.
pub struct MemoryStore {
    inner: Mutex<Inner>,
    observer: Arc<dyn Observer>,
    limits: Limits,
}

impl MemoryStore {
    /// An empty store that tells `observer` of every change.
    #[must_use]
    pub fn new(limits: Limits, observer: Arc<dyn Observer>) -> Self {
        Self { inner: Mutex::new(Inner::new()), observer, limits }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self) -> Result<MutexGuard<'_, Inner>, StoreError> {
        let inner = self.lock();
        if inner.closed { Err(StoreError::Stopped) } else { Ok(inner) }
    }

    /// Runs one change under the lock, and tells the observer of what came of it.
    fn change<T>(&self, change: impl FnOnce(&mut Inner, &mut Vec<Change>) -> T) -> Result<T, StoreError> {
        let mut inner = self.open()?;
        let mut changes = Vec::new();
        let result = change(&mut inner, &mut changes);
        // Told under the lock, so that nobody hears of a later change first.
        if !changes.is_empty() {
            self.observer.committed(&changes);
        }
        Ok(result)
    }
}

fn due(set: &BTreeSet<(Time, JobKey)>, max: usize, now: Time) -> Vec<JobKey> {
    set.iter().take_while(|(at, _)| *at <= now).take(max).map(|(_, key)| *key).collect()
}

#[async_trait]
impl Store for MemoryStore {
    async fn accept(&self, jobs: Vec<NewJob>, now: Time) -> Result<Vec<Acceptance>, StoreError> {
        self.change(|inner, changes| {
            jobs.into_iter().map(|job| inner.accept(job, &self.limits, now, changes)).collect()
        })
    }

    async fn recall(&self, idempotency: Idempotency) -> Result<Option<Acceptance>, StoreError> {
        Ok(self.open()?.recall(idempotency))
    }

    async fn claim(&self, request: ClaimRequest, now: Time) -> Result<Claims, StoreError> {
        self.change(|inner, changes| inner.claim(&request, now, changes))
    }

    async fn heartbeat(&self, beats: Vec<Beat>, now: Time) -> Result<Vec<Result<Beaten, Refusal>>, StoreError> {
        self.change(|inner, changes| {
            let beat = |beat: Beat| {
                let command = Command::Heartbeat { fence: beat.fence, until: beat.until };
                let life = inner.command(beat.job.key(), Some(beat.job), command, now, changes)?;
                Ok(Beaten { cancel_requested: life.cancel_requested })
            };
            beats.into_iter().map(beat).collect()
        })
    }

    async fn append(&self, appends: Vec<Append>, now: Time) -> Result<Vec<Result<u64, Refusal>>, StoreError> {
        self.change(|inner, changes| {
            let append = |append: Append| {
                let known = append.after.map_or(0, |after| inner.noted(append.job.key(), after));
                let notes = append.notes.into_iter().skip(known).collect();
                let command = Command::Append { fence: append.fence, notes };
                inner.command(append.job.key(), Some(append.job), command, now, changes).map(|life| life.last_seq)
            };
            appends.into_iter().map(append).collect()
        })
    }

    async fn finish(&self, finishes: Vec<Finish>, now: Time) -> Result<Vec<Result<Life, Refusal>>, StoreError> {
        self.change(|inner, changes| {
            finishes.into_iter().map(|finish| inner.finish(finish, &self.limits, now, changes)).collect()
        })
    }

    async fn cancel(&self, cancels: Vec<Cancel>, now: Time) -> Result<Vec<Cancelled>, StoreError> {
        self.change(|inner, changes| {
            let cancel = |cancel: Cancel| {
                if inner.find(cancel.job, cancel.tenant.as_ref()).is_none() {
                    return Cancelled::Unknown;
                }
                match inner.command(
                    cancel.job.key(),
                    Some(cancel.job),
                    Command::Cancel { reason: cancel.reason },
                    now,
                    changes,
                ) {
                    Ok(life) => Cancelled::Done(life),
                    Err(Refusal::Finished(state)) => Cancelled::Finished(state),
                    Err(_) => Cancelled::Unknown,
                }
            };
            cancels.into_iter().map(cancel).collect()
        })
    }

    async fn delete(&self, job: JobId, tenant: Option<&Tenant>) -> Result<Option<Result<(), State>>, StoreError> {
        let mut inner = self.open()?;
        let Some(state) = inner.find(job, tenant).map(|entry| entry.life.state) else { return Ok(None) };
        if !state.is_final() {
            return Ok(Some(Err(state)));
        }
        inner.forget(job.key());
        Ok(Some(Ok(())))
    }

    async fn worker_died(&self, worker: &WorkerId, now: Time) -> Result<usize, StoreError> {
        self.change(|inner, changes| {
            inner.deliveries.worker_died(worker, now);
            let held = |key: &JobKey| inner.jobs[key].life.lease.as_ref().is_some_and(|lease| lease.worker == *worker);
            let keys: Vec<JobKey> = inner.leases.iter().map(|(_, key)| *key).filter(held).collect();
            keys.iter().filter(|key| inner.command(**key, None, Command::WorkerDied, now, changes).is_ok()).count()
        })
    }

    async fn sweep(&self, max: usize, now: Time) -> Result<Swept, StoreError> {
        self.change(|inner, changes| {
            let lapsed = due(&inner.leases, max, now);
            let expired = due(&inner.deadlines, max, now);
            let forgotten = due(&inner.retention, max, now);
            inner.idempotency.expire(now);
            lapsed.iter().for_each(|key| drop(inner.command(*key, None, Command::Lapse, now, changes)));
            expired.iter().for_each(|key| drop(inner.command(*key, None, Command::Expire, now, changes)));
            forgotten.iter().for_each(|key| inner.forget(*key));
            let (lapsed, expired, forgotten) = (lapsed.len(), expired.len(), forgotten.len());
            Swept { lapsed, expired, forgotten, more: lapsed.max(expired).max(forgotten) >= max }
        })
    }

    async fn get(&self, job: JobId, tenant: Option<&Tenant>) -> Result<Option<Job>, StoreError> {
        Ok(self.open()?.find(job, tenant).map(Entry::job))
    }

    async fn input(&self, job: JobId) -> Result<Option<Json>, StoreError> {
        Ok(self.open()?.find(job, None).map(|entry| entry.input.clone()))
    }

    async fn steps(&self, job: JobId) -> Result<Vec<StepRecord>, StoreError> {
        Ok(self.open()?.find(job, None).map(Entry::steps).unwrap_or_default())
    }

    async fn read_log(
        &self,
        job: JobId,
        tenant: Option<&Tenant>,
        after: u64,
        max: usize,
    ) -> Result<Option<LogPage>, StoreError> {
        let inner = self.open()?;
        let bytes = |event: &Event| match &event.body {
            EventBody::Output(output) => output.as_str().len(),
            EventBody::Step(step) => step.result.as_str().len(),
            _ => 0,
        };
        let mut full = 0;
        let fits = |event: &&Event| {
            let open = full < LOG_PAGE_BYTES;
            full += bytes(event);
            open
        };
        Ok(inner.find(job, tenant).map(|entry| LogPage {
            events: entry.log.iter().filter(|event| event.seq > after).take(max).take_while(fits).cloned().collect(),
            last_seq: entry.life.last_seq,
            ended: entry.life.state.is_final(),
        }))
    }

    async fn list(&self, filter: Filter, max: usize, now: Time) -> Result<ListPage, StoreError> {
        let inner = self.open()?;
        let older = |key: &JobKey| filter.before.is_none_or(|before| *key < before);
        let mut page = ListPage::default();
        for (looked, (key, entry)) in inner.jobs.iter().rev().filter(|(key, _)| older(key)).enumerate() {
            if page.jobs.len() == max || looked == LIST_LOOKS_AT {
                break;
            }
            page.next = Some(*key);
            let job = Job { outcome: None, ..entry.job() };
            if filter.passes(&job, now) {
                page.jobs.push(job);
            }
        }
        page.next = page.next.filter(|last| inner.jobs.range(..last).next_back().is_some());
        Ok(page)
    }

    fn place(&self, job: &Job) -> Option<Place> {
        self.lock().ready.place(job.id.key(), &Line::from(&*job.spec))
    }

    fn queues(&self) -> Vec<QueueStatus> {
        QueueStatus::of(&self.lock().ready)
    }

    fn waiting(&self) -> usize {
        self.lock().ready.len()
    }

    async fn set_paused(&self, queue: &QueueName, paused: bool) -> Result<(), StoreError> {
        self.open()?.ready.set_paused(queue, paused);
        Ok(())
    }

    async fn add_key(&self, key: ApiKey) -> Result<(), StoreError> {
        self.open()?.keys.insert(key.id.clone(), key);
        Ok(())
    }

    async fn key(&self, id: &str) -> Result<Option<ApiKey>, StoreError> {
        Ok(self.open()?.keys.get(id).cloned())
    }

    async fn keys(&self) -> Result<Vec<ApiKey>, StoreError> {
        let mut keys: Vec<ApiKey> = self.open()?.keys.values().cloned().collect();
        keys.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
        Ok(keys)
    }

    async fn revoke_key(&self, id: &str, now: Time) -> Result<bool, StoreError> {
        let mut inner = self.open()?;
        let key = inner.keys.get_mut(id);
        Ok(key.map(|key| key.expires_at = Some(key.expires_at.map_or(now, |at| at.min(now)))).is_some())
    }

    async fn claim_deliveries(&self, request: DeliveryRequest, now: Time) -> Result<DueDeliveries, StoreError> {
        Ok(self.open()?.deliveries.claim(&request, now))
    }

    async fn note_deliveries(&self, tried: Vec<Tried>, now: Time) -> Result<(), StoreError> {
        let mut inner = self.open()?;
        tried.into_iter().for_each(|tried| inner.deliveries.note(tried, now));
        Ok(())
    }

    async fn delivery(&self, job: JobId, tenant: Option<&Tenant>) -> Result<Option<Delivery>, StoreError> {
        let inner = self.open()?;
        Ok(inner.find(job, tenant).and_then(|entry| inner.deliveries.get(entry.id.key())).cloned())
    }

    async fn deliver_again(&self, job: JobId, tenant: Option<&Tenant>, now: Time) -> Result<bool, StoreError> {
        let mut inner = self.open()?;
        Ok(inner.find(job, tenant).is_some() && inner.deliveries.again(job.key(), now))
    }

    async fn webhook_secrets(&self, tenant: &Tenant, fresh: [u8; 32]) -> Result<WebhookSecrets, StoreError> {
        let first = || WebhookSecrets { current: fresh, previous: None };
        Ok(self.open()?.webhook_secrets.entry(tenant.clone()).or_insert_with(first).clone())
    }

    async fn rotate_webhook_secret(
        &self,
        tenant: &Tenant,
        fresh: [u8; 32],
        overlap: Time,
    ) -> Result<WebhookSecrets, StoreError> {
        let mut inner = self.open()?;
        let previous = inner.webhook_secrets.get(tenant).map(|secrets| (secrets.current, overlap));
        let secrets = WebhookSecrets { current: fresh, previous };
        inner.webhook_secrets.insert(tenant.clone(), secrets.clone());
        Ok(secrets)
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.lock().closed = true;
        Ok(())
    }
}
