use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use raincheck_core::{
    Conversation, ConversationId, Job, JobId, JobKey, Json, Life, Message, Place, QueueName, Refusal, State,
    StepRecord, Summary, Tenant, Time, WorkerId,
};
use raincheck_store::{
    Acceptance, ApiKey, Append, Beat, Beaten, Cancel, Cancelled, ClaimRequest, Claims, ConversationRefusal,
    Conversations, ConversationsPage, Delivery, DeliveryRequest, DueDeliveries, Filter, Finish, Idempotency, ListPage,
    LogPage, MemoryStore, MessagesPage, MessagesRead, NewConversation, NewJob, NewMessage, QueueStatus, Store,
    StoreError, Swept, Tried, WebhookSecrets,
};

/// The store model, which has too much to read when a test says so, but writes.
pub(crate) struct Busy {
    pub(crate) store: MemoryStore,
    pub(crate) is_busy: Arc<AtomicBool>,
}

#[async_trait]
impl Conversations for Busy {
    async fn create_conversation(
        &self,
        new: NewConversation,
        now: Time,
    ) -> Result<Result<Conversation, ConversationRefusal>, StoreError> {
        self.store.create_conversation(new, now).await
    }

    async fn conversation(
        &self,
        id: ConversationId,
        tenant: Option<&Tenant>,
    ) -> Result<Option<Conversation>, StoreError> {
        self.store.conversation(id, tenant).await
    }

    async fn conversations(
        &self,
        tenant: Option<&Tenant>,
        before: Option<JobKey>,
        max: usize,
    ) -> Result<ConversationsPage, StoreError> {
        self.store.conversations(tenant, before, max).await
    }

    async fn delete_conversation(
        &self,
        id: ConversationId,
        tenant: Option<&Tenant>,
        now: Time,
    ) -> Result<bool, StoreError> {
        self.store.delete_conversation(id, tenant, now).await
    }

    async fn append_message(
        &self,
        new: NewMessage,
        now: Time,
    ) -> Result<Result<Message, ConversationRefusal>, StoreError> {
        self.store.append_message(new, now).await
    }

    async fn messages(&self, read: MessagesRead) -> Result<Option<MessagesPage>, StoreError> {
        self.store.messages(read).await
    }

    async fn summary(
        &self,
        id: ConversationId,
        tenant: Option<&Tenant>,
        up_to: u32,
    ) -> Result<Option<Summary>, StoreError> {
        self.store.summary(id, tenant, up_to).await
    }
}

#[async_trait]
impl Store for Busy {
    async fn accept(&self, jobs: Vec<NewJob>, now: Time) -> Result<Vec<Acceptance>, StoreError> {
        self.store.accept(jobs, now).await
    }

    async fn recall(&self, idempotency: Idempotency) -> Result<Option<Acceptance>, StoreError> {
        self.store.recall(idempotency).await
    }

    async fn claim(&self, request: ClaimRequest, now: Time) -> Result<Claims, StoreError> {
        self.store.claim(request, now).await
    }

    async fn heartbeat(&self, beats: Vec<Beat>, now: Time) -> Result<Vec<Result<Beaten, Refusal>>, StoreError> {
        self.store.heartbeat(beats, now).await
    }

    async fn append(&self, appends: Vec<Append>, now: Time) -> Result<Vec<Result<u64, Refusal>>, StoreError> {
        self.store.append(appends, now).await
    }

    async fn finish(&self, finishes: Vec<Finish>, now: Time) -> Result<Vec<Result<Life, Refusal>>, StoreError> {
        self.store.finish(finishes, now).await
    }

    async fn cancel(&self, cancels: Vec<Cancel>, now: Time) -> Result<Vec<Cancelled>, StoreError> {
        self.store.cancel(cancels, now).await
    }

    async fn delete(&self, job: JobId, tenant: Option<&Tenant>) -> Result<Option<Result<(), State>>, StoreError> {
        self.store.delete(job, tenant).await
    }

    async fn worker_died(&self, worker: &WorkerId, now: Time) -> Result<usize, StoreError> {
        self.store.worker_died(worker, now).await
    }

    async fn sweep(&self, max: usize, now: Time) -> Result<Swept, StoreError> {
        self.store.sweep(max, now).await
    }

    async fn get(&self, job: JobId, tenant: Option<&Tenant>) -> Result<Option<Job>, StoreError> {
        if self.is_busy.load(Ordering::Relaxed) {
            Err(StoreError::OVERLOADED)
        } else {
            self.store.get(job, tenant).await
        }
    }

    async fn input(&self, job: JobId) -> Result<Option<Json>, StoreError> {
        self.store.input(job).await
    }

    async fn steps(&self, job: JobId) -> Result<Vec<StepRecord>, StoreError> {
        self.store.steps(job).await
    }

    async fn read_log(
        &self,
        job: JobId,
        tenant: Option<&Tenant>,
        after: u64,
        max: usize,
    ) -> Result<Option<LogPage>, StoreError> {
        self.store.read_log(job, tenant, after, max).await
    }

    async fn list(&self, filter: Filter, max: usize, now: Time) -> Result<ListPage, StoreError> {
        self.store.list(filter, max, now).await
    }

    fn place(&self, job: &Job) -> Option<Place> {
        self.store.place(job)
    }

    fn queues(&self) -> Vec<QueueStatus> {
        self.store.queues()
    }

    fn waiting(&self) -> usize {
        self.store.waiting()
    }

    async fn set_paused(&self, queue: &QueueName, paused: bool) -> Result<(), StoreError> {
        self.store.set_paused(queue, paused).await
    }

    async fn add_key(&self, key: ApiKey) -> Result<(), StoreError> {
        self.store.add_key(key).await
    }

    async fn key(&self, id: &str) -> Result<Option<ApiKey>, StoreError> {
        self.store.key(id).await
    }

    async fn keys(&self) -> Result<Vec<ApiKey>, StoreError> {
        self.store.keys().await
    }

    async fn revoke_key(&self, id: &str, now: Time) -> Result<bool, StoreError> {
        self.store.revoke_key(id, now).await
    }

    async fn claim_deliveries(&self, request: DeliveryRequest, now: Time) -> Result<DueDeliveries, StoreError> {
        self.store.claim_deliveries(request, now).await
    }

    async fn note_deliveries(&self, tried: Vec<Tried>, now: Time) -> Result<(), StoreError> {
        self.store.note_deliveries(tried, now).await
    }

    async fn delivery(&self, job: JobId, tenant: Option<&Tenant>) -> Result<Option<Delivery>, StoreError> {
        self.store.delivery(job, tenant).await
    }

    async fn deliver_again(&self, job: JobId, tenant: Option<&Tenant>, now: Time) -> Result<bool, StoreError> {
        self.store.deliver_again(job, tenant, now).await
    }

    async fn webhook_secrets(&self, tenant: &Tenant, fresh: [u8; 32]) -> Result<WebhookSecrets, StoreError> {
        self.store.webhook_secrets(tenant, fresh).await
    }

    async fn rotate_webhook_secret(
        &self,
        tenant: &Tenant,
        fresh: [u8; 32],
        overlap: Time,
    ) -> Result<WebhookSecrets, StoreError> {
        self.store.rotate_webhook_secret(tenant, fresh, overlap).await
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.store.close().await
    }
}
