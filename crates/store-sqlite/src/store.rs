mod conversations;

use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use async_trait::async_trait;
use raincheck_core::{
    Job, JobId, Json, Life, Line, Place, QueueName, Refusal, State, StepRecord, Tenant, Time, WorkerId,
};
use raincheck_store::{
    Acceptance, ApiKey, Append, Beat, Beaten, Cancel, Cancelled, ClaimRequest, Claims, Delivery, DeliveryRequest,
    DueDeliveries, Filter, Finish, Idempotency, ListPage, LogPage, NewJob, Observer, QueueStatus, Store, StoreError,
    Swept, Tried, WebhookSecrets,
};
use tokio::sync::oneshot;

use crate::commit::Message;
use crate::fault::unreadable;
use crate::reader::Readers;
use crate::shared::Shared;
use crate::start::Start;
use crate::table::{api_key, delivery, event, webhook_secret};
use crate::work::accept::{Accept, Recall};
use crate::work::admin::{AddKey, RevokeKey, SetPaused};
use crate::work::attempt::{AppendNotes, FinishAttempts, Heartbeat};
use crate::work::cancel::CancelJobs;
use crate::work::claim::Claim;
use crate::work::delete::Delete;
use crate::work::delivery::{ClaimDeliveries, DeliverAgain, NoteDeliveries, SetSecret};
use crate::work::sweep::{Sweep, WorkerDied};
use crate::work::{Call, Work};
use crate::{OpenError, Options, read};

/// The embedded store: a directory with an SQLite database.
///
/// Dropping it commits what was asked for and frees the directory, as [`Store::close`] does, and waits for that.
pub struct SqliteStore {
    calls: SyncSender<Message>,
    bytes_max: usize,
    readers: Readers,
    shared: Arc<Shared>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl SqliteStore {
    /// Opens the data directory, which nobody else may use meanwhile, and tells `observer` of every change.
    ///
    /// # Errors
    /// If the directory is in use, or cannot be used, or holds what this program cannot read.
    pub async fn open(options: Options, observer: Arc<dyn Observer>) -> Result<Self, OpenError> {
        let shared = Arc::new(Shared::new());
        let (calls, received) = sync_channel(options.commit_queue);
        let (opened, opening) = oneshot::channel();
        let bytes_max = options.commit_queue_bytes;
        let start = Start { options, shared: Arc::clone(&shared), observer, calls: received, opened };
        let thread = std::thread::Builder::new().name("raincheck-write".into());
        let writer = thread.spawn(|| start.run()).map_err(|error| OpenError::Database(error.to_string()))?;
        let ended = |_| OpenError::Database("the writer ended".into());
        let readers = opening.await.map_err(ended)??;
        Ok(Self { calls, bytes_max, readers, shared, writer: Mutex::new(Some(writer)) })
    }

    /// Waits until the store has stopped because a write failed, and gives the reason: whoever serves on it should end
    /// the process then, for only a restart can tell what is stored. Never ends otherwise.
    pub async fn failed(&self) -> String {
        self.shared.failed().await
    }

    /// Has the writer do something, and waits until that is durable.
    async fn write<W: Work>(&self, work: W) -> Result<W::Answer, StoreError> {
        self.shared.open()?;
        let (caller, answer) = oneshot::channel();
        let bytes = work.bytes();
        let waiting = self.shared.backlog.add(bytes);
        // One alone may be larger than the bound: it was read from somewhere that has bounds of its own.
        let sent = if waiting > 0 && waiting.saturating_add(bytes) > self.bytes_max {
            Err(self.shared.backlog.overloaded())
        } else {
            let call = Message::Call(Box::new(Call { work, bytes, result: None, caller }));
            self.calls.try_send(call).map_err(|error| match error {
                TrySendError::Full(_) => self.shared.backlog.overloaded(),
                TrySendError::Disconnected(_) => StoreError::Stopped,
            })
        };
        if let Err(error) = sent {
            self.shared.backlog.remove(1, bytes);
            return Err(error);
        }
        let (result, _work) = answer.await.map_err(|_| self.shared.unanswered())?;
        result
    }

    /// Reads on another thread.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&rusqlite::Connection, &crate::names::Names) -> Result<T, crate::fault::Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.shared.open()?;
        let names = Arc::clone(&self.shared.names);
        self.readers.read(move |connection| read(connection, &names)).await
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        self.shared.stop();
        // Disconnected: the writer has ended already.
        let _ = self.calls.send(Message::Close);
        let writer = self.writer.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer {
            let _ = writer.join();
        }
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn accept(&self, jobs: Vec<NewJob>, now: Time) -> Result<Vec<Acceptance>, StoreError> {
        let accepted = self.write(Accept::new(jobs, now)).await?;
        accepted.into_iter().map(|accepted| accepted.into_acceptance(&self.shared.names)).collect()
    }

    async fn recall(&self, idempotency: Idempotency) -> Result<Option<Acceptance>, StoreError> {
        let known = self.write(Recall(idempotency)).await?;
        known.map(|known| known.into_acceptance(&self.shared.names)).transpose()
    }

    async fn claim(&self, request: ClaimRequest, now: Time) -> Result<Claims, StoreError> {
        self.write(Claim { request, now }).await?.into_claims(&self.shared.names)
    }

    async fn heartbeat(&self, beats: Vec<Beat>, now: Time) -> Result<Vec<Result<Beaten, Refusal>>, StoreError> {
        self.write(Heartbeat { beats, now }).await
    }

    async fn append(&self, appends: Vec<Append>, now: Time) -> Result<Vec<Result<u64, Refusal>>, StoreError> {
        self.write(AppendNotes { appends, now }).await
    }

    async fn finish(&self, finishes: Vec<Finish>, now: Time) -> Result<Vec<Result<Life, Refusal>>, StoreError> {
        self.write(FinishAttempts { finishes, now }).await
    }

    async fn cancel(&self, cancels: Vec<Cancel>, now: Time) -> Result<Vec<Cancelled>, StoreError> {
        self.write(CancelJobs { cancels, now }).await
    }

    async fn delete(&self, job: JobId, tenant: Option<&Tenant>) -> Result<Option<Result<(), State>>, StoreError> {
        self.write(Delete { job, tenant: tenant.cloned() }).await
    }

    async fn worker_died(&self, worker: &WorkerId, now: Time) -> Result<usize, StoreError> {
        self.write(WorkerDied { worker: worker.clone(), now }).await
    }

    async fn sweep(&self, max: usize, now: Time) -> Result<Swept, StoreError> {
        self.write(Sweep { max, now }).await
    }

    async fn get(&self, job: JobId, tenant: Option<&Tenant>) -> Result<Option<Job>, StoreError> {
        let tenant = tenant.cloned();
        let found = self
            .read(move |connection, names| read::job::get(connection, job, tenant.as_ref().map(Tenant::as_str), names));
        found.await?.map(|found| found.into_job(&self.shared.names)).transpose()
    }

    async fn input(&self, job: JobId) -> Result<Option<Json>, StoreError> {
        let input = self.read(move |connection, _| read::job::input(connection, job)).await?;
        input.map(Json::from_text).transpose().map_err(unreadable)
    }

    async fn steps(&self, job: JobId) -> Result<Vec<StepRecord>, StoreError> {
        event::parse_steps(&self.read(move |connection, _| read::job::steps(connection, job)).await?)
    }

    async fn read_log(
        &self,
        job: JobId,
        tenant: Option<&Tenant>,
        after: u64,
        max: usize,
    ) -> Result<Option<LogPage>, StoreError> {
        let tenant = tenant.cloned();
        let page = self.read(move |connection, names| {
            read::log::read(connection, job, tenant.as_ref().map(Tenant::as_str), (after, max), names)
        });
        page.await
    }

    async fn list(&self, filter: Filter, max: usize, now: Time) -> Result<ListPage, StoreError> {
        self.shared.open()?;
        let names = Arc::clone(&self.shared.names);
        self.readers.list(move |connection| read::list::list(connection, &filter, max, now, &names)).await
    }

    fn place(&self, job: &Job) -> Option<Place> {
        self.shared.ready().place(job.id.key(), &Line::from(&*job.spec))
    }

    fn queues(&self) -> Vec<QueueStatus> {
        QueueStatus::of(&self.shared.ready())
    }

    fn waiting(&self) -> usize {
        self.shared.ready().len()
    }

    fn backlog(&self) -> usize {
        self.shared.backlog.calls()
    }

    async fn set_paused(&self, queue: &QueueName, paused: bool) -> Result<(), StoreError> {
        self.write(SetPaused { queue: queue.clone(), paused }).await
    }

    async fn add_key(&self, key: ApiKey) -> Result<(), StoreError> {
        self.write(AddKey(key)).await
    }

    async fn key(&self, id: &str) -> Result<Option<ApiKey>, StoreError> {
        let id = id.to_owned();
        self.read(move |connection, _| api_key::get(connection, &id)).await
    }

    async fn keys(&self) -> Result<Vec<ApiKey>, StoreError> {
        self.read(|connection, _| api_key::all(connection)).await
    }

    async fn revoke_key(&self, id: &str, now: Time) -> Result<bool, StoreError> {
        self.write(RevokeKey { id: id.to_owned(), now }).await
    }

    async fn claim_deliveries(&self, request: DeliveryRequest, now: Time) -> Result<DueDeliveries, StoreError> {
        self.write(ClaimDeliveries { request, now }).await
    }

    async fn note_deliveries(&self, tried: Vec<Tried>, now: Time) -> Result<(), StoreError> {
        self.write(NoteDeliveries { tried, now }).await
    }

    async fn delivery(&self, job: JobId, tenant: Option<&Tenant>) -> Result<Option<Delivery>, StoreError> {
        let tenant = tenant.cloned();
        let delivery = self.read(move |connection, names| {
            let found = read::job::get(connection, job, tenant.as_ref().map(Tenant::as_str), names)?;
            found.map_or(Ok(None), |_| delivery::get(connection, job.key()))
        });
        delivery.await
    }

    async fn deliver_again(&self, job: JobId, tenant: Option<&Tenant>, now: Time) -> Result<bool, StoreError> {
        self.write(DeliverAgain { job, tenant: tenant.cloned(), now }).await
    }

    async fn webhook_secrets(&self, tenant: &Tenant, fresh: [u8; 32]) -> Result<WebhookSecrets, StoreError> {
        let of = tenant.clone();
        if let Some(known) = self.read(move |connection, _| webhook_secret::get(connection, &of)).await? {
            return Ok(known);
        }
        self.write(SetSecret { tenant: tenant.clone(), fresh, overlap: None }).await
    }

    async fn rotate_webhook_secret(
        &self,
        tenant: &Tenant,
        fresh: [u8; 32],
        overlap: Time,
    ) -> Result<WebhookSecrets, StoreError> {
        self.write(SetSecret { tenant: tenant.clone(), fresh, overlap: Some(overlap) }).await
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.shared.stop();
        // Full: the writer is at work, and makes room.
        while let Err(TrySendError::Full(_)) = self.calls.try_send(Message::Close) {
            tokio::task::yield_now().await;
        }
        self.shared.ended().await;
        Ok(())
    }
}
