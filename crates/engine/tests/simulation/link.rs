use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

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
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::time::{Instant, sleep, sleep_until};

use super::plan::short_time;

/// The way from one engine or client to the store, on which everything can go wrong.
pub(crate) struct Link {
    store: Arc<MemoryStore>,
    random: Mutex<StdRng>,
    /// How often a call or its reply is lost or repeated; healed by setting it to nothing.
    fault_rate: Mutex<f64>,
    /// Nothing passes before this: whoever is behind the link is stopped, like a process under SIGSTOP.
    paused_until: Mutex<Instant>,
    /// Nothing ever passes again: whoever is behind the link was killed.
    dead: AtomicBool,
}

enum Fault {
    None,
    CallLost,
    ReplyLost,
    Repeated,
}

impl Link {
    pub(crate) fn new(store: Arc<MemoryStore>, seed: u64, fault_rate: f64) -> Arc<Self> {
        Arc::new(Self {
            store,
            random: Mutex::new(StdRng::seed_from_u64(seed)),
            fault_rate: Mutex::new(fault_rate),
            paused_until: Mutex::new(Instant::now()),
            dead: AtomicBool::new(false),
        })
    }

    pub(crate) fn set_fault_rate(&self, rate: f64) {
        *self.fault_rate.lock().unwrap() = rate;
    }

    pub(crate) fn fault_rate(&self) -> f64 {
        *self.fault_rate.lock().unwrap()
    }

    pub(crate) fn heal(&self) {
        self.set_fault_rate(0.0);
        *self.paused_until.lock().unwrap() = Instant::now();
    }

    pub(crate) fn pause(&self, time: Duration) {
        *self.paused_until.lock().unwrap() = Instant::now() + time;
    }

    pub(crate) fn kill(&self) {
        self.dead.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_up(&self) -> bool {
        !self.dead.load(Ordering::SeqCst) && *self.paused_until.lock().unwrap() <= Instant::now()
    }

    fn fault(&self) -> Fault {
        let mut random = self.random.lock().unwrap();
        if !random.random_bool(*self.fault_rate.lock().unwrap()) {
            return Fault::None;
        }
        match random.random_range(0..3) {
            0 => Fault::CallLost,
            1 => Fault::ReplyLost,
            _ => Fault::Repeated,
        }
    }

    /// One way.
    async fn travel(&self) {
        let time = short_time(&mut self.random.lock().unwrap(), 40);
        sleep(time).await;
        loop {
            if self.dead.load(Ordering::SeqCst) {
                std::future::pending::<()>().await;
            }
            let until = *self.paused_until.lock().unwrap();
            if until <= Instant::now() {
                return;
            }
            sleep_until(until).await;
        }
    }

    async fn pass<T, F>(&self, call: impl Fn() -> F + Send) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>> + Send,
        T: Send,
    {
        self.travel().await;
        let result = match self.fault() {
            Fault::None => call().await,
            Fault::CallLost => Err(StoreError::OVERLOADED),
            Fault::ReplyLost => call().await.and(Err(StoreError::Unknown("the reply was lost".into()))),
            Fault::Repeated => {
                let first = call().await;
                drop(call().await);
                first
            }
        };
        self.travel().await;
        result
    }
}

#[async_trait]
impl Conversations for Link {
    async fn create_conversation(
        &self,
        new: NewConversation,
        now: Time,
    ) -> Result<Result<Conversation, ConversationRefusal>, StoreError> {
        self.pass(|| self.store.create_conversation(new.clone(), now)).await
    }

    async fn conversation(
        &self,
        id: ConversationId,
        tenant: Option<&Tenant>,
    ) -> Result<Option<Conversation>, StoreError> {
        self.pass(|| self.store.conversation(id, tenant)).await
    }

    async fn conversations(
        &self,
        tenant: Option<&Tenant>,
        before: Option<JobKey>,
        max: usize,
    ) -> Result<ConversationsPage, StoreError> {
        self.pass(|| self.store.conversations(tenant, before, max)).await
    }

    async fn delete_conversation(
        &self,
        id: ConversationId,
        tenant: Option<&Tenant>,
        now: Time,
    ) -> Result<bool, StoreError> {
        self.pass(|| self.store.delete_conversation(id, tenant, now)).await
    }

    async fn append_message(
        &self,
        new: NewMessage,
        now: Time,
    ) -> Result<Result<Message, ConversationRefusal>, StoreError> {
        self.pass(|| self.store.append_message(new.clone(), now)).await
    }

    async fn messages(&self, read: MessagesRead) -> Result<Option<MessagesPage>, StoreError> {
        self.pass(|| self.store.messages(read.clone())).await
    }

    async fn summary(
        &self,
        id: ConversationId,
        tenant: Option<&Tenant>,
        up_to: u32,
    ) -> Result<Option<Summary>, StoreError> {
        self.pass(|| self.store.summary(id, tenant, up_to)).await
    }
}

#[async_trait]
impl Store for Link {
    async fn accept(&self, jobs: Vec<NewJob>, now: Time) -> Result<Vec<Acceptance>, StoreError> {
        self.pass(|| self.store.accept(jobs.clone(), now)).await
    }

    async fn recall(&self, idempotency: Idempotency) -> Result<Option<Acceptance>, StoreError> {
        self.pass(|| self.store.recall(idempotency)).await
    }

    async fn claim(&self, request: ClaimRequest, now: Time) -> Result<Claims, StoreError> {
        self.pass(|| self.store.claim(request.clone(), now)).await
    }

    async fn heartbeat(&self, beats: Vec<Beat>, now: Time) -> Result<Vec<Result<Beaten, Refusal>>, StoreError> {
        self.pass(|| self.store.heartbeat(beats.clone(), now)).await
    }

    async fn append(&self, appends: Vec<Append>, now: Time) -> Result<Vec<Result<u64, Refusal>>, StoreError> {
        // Repeating an append is the one thing that the contract does not allow: the engine never does it.
        self.travel().await;
        let result = self.store.append(appends, now).await;
        self.travel().await;
        result
    }

    async fn finish(&self, finishes: Vec<Finish>, now: Time) -> Result<Vec<Result<Life, Refusal>>, StoreError> {
        self.pass(|| self.store.finish(finishes.clone(), now)).await
    }

    async fn cancel(&self, cancels: Vec<Cancel>, now: Time) -> Result<Vec<Cancelled>, StoreError> {
        self.pass(|| self.store.cancel(cancels.clone(), now)).await
    }

    async fn delete(&self, job: JobId, tenant: Option<&Tenant>) -> Result<Option<Result<(), State>>, StoreError> {
        self.pass(|| self.store.delete(job, tenant)).await
    }

    async fn worker_died(&self, worker: &WorkerId, now: Time) -> Result<usize, StoreError> {
        self.pass(|| self.store.worker_died(worker, now)).await
    }

    async fn sweep(&self, max: usize, now: Time) -> Result<Swept, StoreError> {
        self.pass(|| self.store.sweep(max, now)).await
    }

    async fn get(&self, job: JobId, tenant: Option<&Tenant>) -> Result<Option<Job>, StoreError> {
        self.pass(|| self.store.get(job, tenant)).await
    }

    async fn input(&self, job: JobId) -> Result<Option<Json>, StoreError> {
        self.pass(|| self.store.input(job)).await
    }

    async fn steps(&self, job: JobId) -> Result<Vec<StepRecord>, StoreError> {
        self.pass(|| self.store.steps(job)).await
    }

    async fn read_log(
        &self,
        job: JobId,
        tenant: Option<&Tenant>,
        after: u64,
        max: usize,
    ) -> Result<Option<LogPage>, StoreError> {
        self.pass(|| self.store.read_log(job, tenant, after, max)).await
    }

    async fn list(&self, filter: Filter, max: usize, now: Time) -> Result<ListPage, StoreError> {
        self.pass(|| self.store.list(filter.clone(), max, now)).await
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
        self.pass(|| self.store.set_paused(queue, paused)).await
    }

    async fn add_key(&self, key: ApiKey) -> Result<(), StoreError> {
        self.pass(|| self.store.add_key(key.clone())).await
    }

    async fn key(&self, id: &str) -> Result<Option<ApiKey>, StoreError> {
        self.pass(|| self.store.key(id)).await
    }

    async fn keys(&self) -> Result<Vec<ApiKey>, StoreError> {
        self.pass(|| self.store.keys()).await
    }

    async fn revoke_key(&self, id: &str, now: Time) -> Result<bool, StoreError> {
        self.pass(|| self.store.revoke_key(id, now)).await
    }

    async fn claim_deliveries(&self, request: DeliveryRequest, now: Time) -> Result<DueDeliveries, StoreError> {
        self.pass(|| self.store.claim_deliveries(request.clone(), now)).await
    }

    async fn note_deliveries(&self, tried: Vec<Tried>, now: Time) -> Result<(), StoreError> {
        self.pass(|| self.store.note_deliveries(tried.clone(), now)).await
    }

    async fn delivery(&self, job: JobId, tenant: Option<&Tenant>) -> Result<Option<Delivery>, StoreError> {
        self.pass(|| self.store.delivery(job, tenant)).await
    }

    async fn deliver_again(&self, job: JobId, tenant: Option<&Tenant>, now: Time) -> Result<bool, StoreError> {
        self.pass(|| self.store.deliver_again(job, tenant, now)).await
    }

    async fn webhook_secrets(&self, tenant: &Tenant, fresh: [u8; 32]) -> Result<WebhookSecrets, StoreError> {
        self.pass(|| self.store.webhook_secrets(tenant, fresh)).await
    }

    async fn rotate_webhook_secret(
        &self,
        tenant: &Tenant,
        fresh: [u8; 32],
        overlap: Time,
    ) -> Result<WebhookSecrets, StoreError> {
        self.pass(|| self.store.rotate_webhook_secret(tenant, fresh, overlap)).await
    }

    async fn close(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
