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
const DELIVERIES_MAX: usize = 128;
/// How many of them to one endpoint, so that one which is slow leaves room for others.
const PER_ENDPOINT_MAX: usize = 10;
/// An endpoint that has failed so often in a row is told one thing at a time, until it takes one.
const FAILURES_MAX: u32 = 3;
/// So many failing endpoints are known at once; of others it is forgotten that they failed.
const FAILING_MAX: usize = 1_000;
/// A delivery of which nothing is heard for so long is due again. Longer than any notifier takes.
const UNHEARD_AFTER: Duration = Duration::from_secs(60);
/// How long to wait before looking again when a look gave nothing although there should have been something, and before a
/// delivery that failed through no fault of the endpoint is tried again.
const LOOK_NOT_BEFORE: Duration = Duration::from_secs(1);
/// How long tries that are under way may take when the engine drains.
const DRAIN_MAX: Duration = Duration::from_secs(5);
/// How long to wait for a wake-up before looking all the same: other servers may have put something on.
const LOOK_AFTER: Duration = Duration::from_secs(30);
/// The longest answer of an endpoint that is noted, in bytes.
const ANSWER_MAX: usize = 256;

/// How long a webhooks' secret that was replaced signs beside the new one.
pub const SECRET_OVERLAP: Duration = Duration::from_secs(24 * 3600);

/// Brings what is told of jobs to the endpoints of webhooks.
#[async_trait]
pub trait Notifier: Send + Sync + 'static {
    /// Tells the webhook of a job, which has one, of this event, which has this number in the job's log: once, and within
    /// less than a minute. Gives what the endpoint said, in a few words.
    ///
    /// # Errors
    /// If the endpoint did not take it.
    async fn deliver(
        &self,
        job: &Job,
        event: (WebhookEvent, u64),
        secrets: &WebhookSecrets,
    ) -> Result<String, Undelivered>;
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
    /// From now on webhooks are told. The first notifier that is given counts.
    pub fn deliver_by(&self, notifier: Arc<dyn Notifier>) {
        if self.0.notifier.set(Arc::clone(&notifier)).is_ok() {
            self.0.tasks.delivering.spawn(run(Arc::clone(&self.0), notifier));
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

/// What is under way, and what is known of whom it goes to.
#[derive(Default)]
struct Post {
    tries: JoinSet<Tried>,
    endpoints: HashMap<Id, String>,
    /// What became of tries, and is still to be noted.
    ended: Vec<Tried>,
    /// How often endpoints have failed in a row.
    failing: HashMap<String, u32>,
    /// The endpoint that had its turn last.
    after: String,
}

/// Brings the ends of jobs to their webhooks as they become due, until the engine drains. What is under way then is due again
/// when the worker comes back.
async fn run(parts: Arc<Parts>, notifier: Arc<dyn Notifier>) {
    let mut post = Post::default();
    while !parts.is_draining() {
        let wait = post.send(&parts, &notifier).await;
        tokio::select! {
            Some(ended) = post.tries.join_next_with_id() => post.note(&parts, ended).await,
            () = parts.hub.deliverer_woken() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
    let last = async {
        while let Some(ended) = post.tries.join_next_with_id().await {
            post.note(&parts, ended).await;
        }
    };
    let _ = tokio::time::timeout(DRAIN_MAX, last).await;
}

impl Post {
    /// Sends off what is due, as far as there is room; gives how long there will be nothing more.
    async fn send(&mut self, parts: &Arc<Parts>, notifier: &Arc<dyn Notifier>) -> Duration {
        loop {
            let now = parts.clock.now();
            let claimed = match self.claim(parts, now).await {
                Ok(claimed) => claimed,
                Err(StoreError::Stopped) => return LOOK_AFTER,
                Err(error) => {
                    tracing::warn!(%error, "failed to look for webhooks to tell; trying again");
                    return LOOK_NOT_BEFORE;
                }
            };
            self.after = claimed.after;
            let found = !claimed.due.is_empty();
            claimed.due.into_iter().for_each(|due| self.start(parts, notifier, due));
            match claimed.next_due.map(|due| due.since(now)) {
                Some(Duration::ZERO) if found => {}
                Some(wait) => return wait.clamp(LOOK_NOT_BEFORE, LOOK_AFTER),
                None => return LOOK_AFTER,
            }
        }
    }

    async fn claim(&mut self, parts: &Parts, now: Time) -> Result<DueDeliveries, StoreError> {
        self.note_ended(parts).await?;
        let max = DELIVERIES_MAX.saturating_sub(self.tries.len());
        if max == 0 {
            return Ok(DueDeliveries { after: std::mem::take(&mut self.after), ..DueDeliveries::default() });
        }
        let request = DeliveryRequest {
            worker: parts.settings.worker.clone(),
            max,
            per_endpoint: PER_ENDPOINT_MAX,
            room: self.room(),
            after: self.after.clone(),
            until: now.after(UNHEARD_AFTER),
        };
        parts.store.claim_deliveries(request, now).await
    }

    fn start(&mut self, parts: &Arc<Parts>, notifier: &Arc<dyn Notifier>, due: Due) {
        let (parts, notifier, endpoint) = (Arc::clone(parts), Arc::clone(notifier), due.endpoint.clone());
        let task = self.tries.spawn(async move { attempt(&parts, &*notifier, &due).await });
        self.endpoints.insert(task.id(), endpoint);
    }

    /// How many more may be under way to those endpoints to which some are, and to those that fail.
    fn room(&self) -> BTreeMap<String, usize> {
        let failing = self.failing.iter().filter(|(_, failures)| **failures >= FAILURES_MAX);
        let mut room: BTreeMap<String, usize> = failing.map(|(endpoint, _)| (endpoint.clone(), 1)).collect();
        for endpoint in self.endpoints.values() {
            let left = room.entry(endpoint.clone()).or_insert(PER_ENDPOINT_MAX);
            *left = left.saturating_sub(1);
        }
        room
    }

    /// Notes what became of a try, and of all others that have ended meanwhile.
    async fn note(&mut self, parts: &Parts, first: Result<(Id, Tried), JoinError>) {
        let mut next = Some(first);
        while let Some(ended) = next {
            // One that panicked is due again after a while.
            let task = ended.as_ref().map_or_else(JoinError::id, |(task, _)| *task);
            let endpoint = self.endpoints.remove(&task).unwrap_or_default();
            if let Ok((_, tried)) = ended {
                self.learn(endpoint, tried.then);
                self.ended.push(tried);
            }
            next = self.tries.try_join_next_with_id();
        }
        // If it fails, it is noted before more is sent.
        let _ = self.note_ended(parts).await;
    }

    async fn note_ended(&mut self, parts: &Parts) -> Result<(), StoreError> {
        if !self.ended.is_empty() {
            parts.store.note_deliveries(self.ended.clone(), parts.clock.now()).await?;
            self.ended.clear();
        }
        Ok(())
    }

    fn learn(&mut self, endpoint: String, then: Then) {
        match then {
            Then::Delivered => drop(self.failing.remove(&endpoint)),
            Then::Later(_) => {}
            Then::Again(_) | Then::GivenUp => {
                if self.failing.len() >= FAILING_MAX && !self.failing.contains_key(&endpoint) {
                    self.failing.clear();
                }
                *self.failing.entry(endpoint).or_default() += 1;
            }
        }
    }
}

async fn attempt(parts: &Parts, notifier: &dyn Notifier, due: &Due) -> Tried {
    let now = || parts.clock.now();
    let (answer, then) = match letter(parts, due).await {
        Ok(Some((job, secrets))) => {
            match notifier.deliver(&job, (WebhookEvent::Ended, job.life.last_seq), &secrets).await {
                Ok(answer) => (answer, Then::Delivered),
                Err(Undelivered { answer, is_final: true, .. }) => (answer, Then::GivenUp),
                Err(Undelivered { answer, retry_after, .. }) => {
                    let wait = redelivered_after(due.tries + 1, retry_after, parts.chance.dice());
                    (answer, wait.map_or(Then::GivenUp, |wait| Then::Again(now().after(wait))))
                }
            }
        }
        Ok(None) => ("the job is gone".to_owned(), Then::GivenUp),
        Err(error) => (error.to_string(), Then::Later(now().after(LOOK_NOT_BEFORE))),
    };
    match then {
        Then::Delivered => {}
        Then::GivenUp => tracing::warn!(job = %due.job, endpoint = due.endpoint, answer, "a webhook is given up"),
        Then::Again(_) | Then::Later(_) => {
            tracing::debug!(job = %due.job, endpoint = due.endpoint, answer, "a webhook was not told, and will be tried again");
        }
    }
    parts.stats.told(then);
    Tried { job: due.job, claim: due.claim, answer: shortened(answer), then }
}

/// What is told, and what it is signed with; `None` if the job is no more.
async fn letter(parts: &Parts, due: &Due) -> Result<Option<(Job, WebhookSecrets)>, StoreError> {
    let Some(job) = parts.store.get(due.job, None).await? else { return Ok(None) };
    let secrets = parts.webhook_secrets(&job.spec.tenant).await?;
    Ok(Some((job, secrets)))
}

fn shortened(mut answer: String) -> String {
    if answer.len() > ANSWER_MAX {
        answer.truncate(answer.floor_char_boundary(ANSWER_MAX));
    }
    answer
}
