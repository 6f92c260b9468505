use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use raincheck_core::{Job, JobId, Tenant, Time, WebhookEvent, redelivered_after};
use raincheck_store::{DeliveryRequest, Due, DueDeliveries, StoreError, Then, Tried, WebhookSecrets};
use tokio::task::{Id, JoinError, JoinSet};

use crate::Engine;
use crate::engine::Parts;

/// How many deliveries are under way at once.
const DELIVERIES_MAX: usize = 64;
/// How many of them to one endpoint, so that one which is slow leaves room for others.
const PER_ENDPOINT_MAX: usize = 10;
/// A delivery of which nothing is heard for so long is due again. Longer than any courier takes.
const UNHEARD_MAX: Duration = Duration::from_secs(60);
/// How long to wait before looking again when a look gave nothing although there should have been something.
const LOOK_NOT_BEFORE: Duration = Duration::from_secs(1);
/// How long to wait for a wake-up before looking all the same: other servers may have put something on.
const LOOK_AFTER: Duration = Duration::from_secs(30);
/// The longest answer of an endpoint that is noted, in bytes.
const ANSWER_MAX: usize = 256;

/// How long a webhooks' secret that was replaced signs beside the new one.
pub const SECRET_OVERLAP: Duration = Duration::from_secs(24 * 3600);

/// Brings what is told of jobs to the endpoints of webhooks.
#[async_trait]
pub trait Courier: Send + Sync + 'static {
    /// Tells the webhook of a job, which has one, of this event: once, and within less than a minute. Gives what the
    /// endpoint said, in a few words.
    ///
    /// # Errors
    /// If the endpoint did not take it.
    async fn deliver(&self, job: &Job, event: WebhookEvent, secrets: &WebhookSecrets) -> Result<String, Undelivered>;
}

/// Why an endpoint did not take what it was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undelivered {
    /// What it said, or what kept it from being told.
    pub answer: String,
    /// How long it asks to be left alone.
    pub retry_after: Option<Duration>,
    /// It wants to hear no more of it.
    pub is_final: bool,
}

impl Engine {
    /// From now on webhooks are told. The first courier that is given counts.
    pub fn deliver_by(&self, courier: Arc<dyn Courier>) {
        if self.0.courier.set(Arc::clone(&courier)).is_ok() {
            self.0.tasks.spawn_loop(run(Arc::clone(&self.0), courier));
        }
    }

    /// The end of a job is told to its webhook anew; whether there is anything to tell, for the tenant.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub async fn deliver_again(&self, job: JobId, tenant: Option<&Tenant>) -> Result<bool, StoreError> {
        let due = self.0.store.deliver_again(job, tenant, self.0.clock.now()).await?;
        self.0.hub.wake_deliverer();
        Ok(due)
    }

    /// The secrets with which what a tenant's webhooks are told is signed.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub async fn webhook_secrets(&self, tenant: &Tenant) -> Result<WebhookSecrets, StoreError> {
        self.0.webhook_secrets(tenant).await
    }

    /// Gives a tenant's webhooks a new secret. The one before signs for another [`SECRET_OVERLAP`].
    ///
    /// # Errors
    /// If the store cannot be written.
    pub async fn rotate_webhook_secret(&self, tenant: &Tenant) -> Result<WebhookSecrets, StoreError> {
        let parts = &self.0;
        let until = parts.clock.now().after(SECRET_OVERLAP);
        parts.store.rotate_webhook_secret(tenant, parts.chance.secret(), until).await
    }
}

impl Parts {
    pub(crate) async fn webhook_secrets(&self, tenant: &Tenant) -> Result<WebhookSecrets, StoreError> {
        self.store.webhook_secrets(tenant, self.chance.secret()).await
    }
}

/// What is under way.
#[derive(Default)]
struct UnderWay {
    tries: JoinSet<Tried>,
    endpoints: HashMap<Id, String>,
}

/// Brings the ends of jobs to their webhooks as they become due, until the engine stops. What was under way then is due again
/// when the worker comes back, or after [`UNHEARD_MAX`].
pub(crate) async fn run(parts: Arc<Parts>, courier: Arc<dyn Courier>) {
    let (mut under_way, mut after) = (UnderWay::default(), String::new());
    loop {
        let now = parts.clock.now();
        let claimed = claim(&parts, &under_way, &mut after, now).await.unwrap_or_else(|error| {
            if error != StoreError::Stopped {
                tracing::warn!(%error, "failed to look for webhooks to call; trying again");
            }
            DueDeliveries { next_due: Some(now), ..DueDeliveries::default() }
        });
        let found = !claimed.due.is_empty();
        for due in claimed.due {
            under_way.start(&parts, &courier, due);
        }
        let is_full = under_way.tries.len() >= DELIVERIES_MAX;
        let wait = match claimed.next_due.map(|due| due.since(now)) {
            Some(Duration::ZERO) if found && !is_full => continue,
            Some(wait) => wait.max(LOOK_NOT_BEFORE).min(LOOK_AFTER),
            None => LOOK_AFTER,
        };
        tokio::select! {
            Some(ended) = under_way.tries.join_next_with_id() => under_way.note(&parts, ended).await,
            () = parts.hub.deliverer_woken(), if !is_full => {}
            () = tokio::time::sleep(wait), if !is_full => {}
        }
    }
}

async fn claim(
    parts: &Parts,
    under_way: &UnderWay,
    after: &mut String,
    now: Time,
) -> Result<DueDeliveries, StoreError> {
    let max = DELIVERIES_MAX.saturating_sub(under_way.tries.len());
    if max == 0 {
        return Ok(DueDeliveries::default());
    }
    let request = DeliveryRequest {
        worker: parts.settings.worker.clone(),
        max,
        per_endpoint: PER_ENDPOINT_MAX,
        room: under_way.room(),
        after: std::mem::take(after),
        until: now.after(UNHEARD_MAX),
    };
    let claimed = parts.store.claim_deliveries(request, now).await?;
    after.clone_from(&claimed.after);
    Ok(claimed)
}

impl UnderWay {
    fn start(&mut self, parts: &Arc<Parts>, courier: &Arc<dyn Courier>, due: Due) {
        let (parts, courier, endpoint) = (Arc::clone(parts), Arc::clone(courier), due.endpoint.clone());
        let task = self.tries.spawn(async move { attempt(&parts, &*courier, &due).await });
        self.endpoints.insert(task.id(), endpoint);
    }

    /// How many more may be under way to those endpoints to which some are.
    fn room(&self) -> BTreeMap<String, usize> {
        let mut room = BTreeMap::new();
        for endpoint in self.endpoints.values() {
            let left = room.entry(endpoint.clone()).or_insert(PER_ENDPOINT_MAX);
            *left = left.saturating_sub(1);
        }
        room
    }

    /// Notes what became of a try, and of all others that have ended meanwhile.
    async fn note(&mut self, parts: &Parts, first: Result<(Id, Tried), JoinError>) {
        let (mut tried, mut next) = (Vec::new(), Some(first));
        while let Some(ended) = next {
            // One that panicked is due again after a while.
            let task = ended.as_ref().map_or_else(JoinError::id, |(task, _)| *task);
            self.endpoints.remove(&task);
            tried.extend(ended.ok().map(|(_, tried)| tried));
            next = self.tries.try_join_next_with_id();
        }
        if let Err(error) = parts.store.note_deliveries(tried, parts.clock.now()).await
            && error != StoreError::Stopped
        {
            tracing::warn!(%error, "failed to note which webhooks were called; they will be called again");
        }
    }
}

async fn attempt(parts: &Parts, courier: &dyn Courier, due: &Due) -> Tried {
    let result = tell(parts, courier, due).await;
    let (answer, then) = match result {
        Ok(answer) => (answer, Then::Delivered),
        Err(Undelivered { answer, is_final: true, .. }) => (answer, Then::GivenUp),
        Err(Undelivered { answer, retry_after, .. }) => {
            let wait = redelivered_after(due.number, retry_after, parts.chance.dice());
            (answer, wait.map_or(Then::GivenUp, |wait| Then::Again(parts.clock.now().after(wait))))
        }
    };
    if then != Then::Delivered {
        tracing::warn!(job = %due.job, endpoint = due.endpoint, number = due.number, answer, ?then, "a webhook was not delivered");
    }
    parts.stats.told(then);
    Tried { job: due.job, number: due.number, answer: shortened(answer), then }
}

async fn tell(parts: &Parts, courier: &dyn Courier, due: &Due) -> Result<String, Undelivered> {
    let failed = |error: StoreError| Undelivered { answer: error.to_string(), retry_after: None, is_final: false };
    let gone = || Undelivered { answer: "the job is gone".to_owned(), retry_after: None, is_final: true };
    let job = parts.store.get(due.job, None).await.map_err(failed)?.ok_or_else(gone)?;
    let secrets = parts.webhook_secrets(&job.spec.tenant).await.map_err(failed)?;
    courier.deliver(&job, WebhookEvent::Ended, &secrets).await
}

fn shortened(mut answer: String) -> String {
    if answer.len() > ANSWER_MAX {
        answer.truncate(answer.floor_char_boundary(ANSWER_MAX));
    }
    answer
}
