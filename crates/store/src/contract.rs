use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use raincheck_core::{
    Became, Class, Dice, Ending, Event, Fence, FollowUp, Job, JobId, JobKey, Json, Kind, Life, Note, Place, Problem,
    ProblemType, QueueName, ReadySet, Refusal, Spec, State, StepRecord, Tenant, Time, Want, WorkerId,
};

use crate::{ApiKey, Delivery, DeliveryRequest, DueDeliveries, StoreError, Tried, WebhookSecrets};
use crate::{ConversationRefusal, Conversations, NewSummary, NewTurn};

/// How long an idempotency key is remembered at least, whether or not its job has ended.
pub const IDEMPOTENCY_WINDOW: Duration = Duration::from_secs(24 * 3600);

/// A durable store of jobs. See the crate's documentation for what `Ok` and `Err` promise.
///
/// Calls take batches, and answer each entry in order. Wherever a tenant is asked for, `Some` hides the jobs of all other
/// tenants as if they did not exist, and `None` shows every job.
#[async_trait]
pub trait Store: Conversations + Send + Sync + 'static {
    /// Accepts jobs: mints their ids and starts their logs with an `accepted` event.
    ///
    /// An entry whose idempotency key is known gives the job that the key stands for instead of a new one. Entries of one
    /// batch are looked at in order, so two with the same key give one job.
    async fn accept(&self, jobs: Vec<NewJob>, now: Time) -> Result<Vec<Acceptance>, StoreError>;

    /// What a known idempotency key stands for: [`Acceptance::Existing`] or [`Acceptance::KeyReused`]. `None` if it is not
    /// known. Accepts nothing.
    async fn recall(&self, idempotency: Idempotency) -> Result<Option<Acceptance>, StoreError>;

    /// Leases jobs to a worker: those that are next by priority and fairness, of the kinds that it wants and no more of
    /// each than it wants. Of the jobs of a tenant with the same concurrency key only the one that was accepted first is given,
    /// until it has ended. Jobs found to be past their deadline are ended as `expired` on the way.
    async fn claim(&self, request: ClaimRequest, now: Time) -> Result<Claims, StoreError>;

    /// Renews leases.
    async fn heartbeat(&self, beats: Vec<Beat>, now: Time) -> Result<Vec<Result<Beaten, Refusal>>, StoreError>;

    /// Appends what running attempts have to say to their logs; gives the number of the last event of each.
    async fn append(&self, appends: Vec<Append>, now: Time) -> Result<Vec<Result<u64, Refusal>>, StoreError>;

    /// Ends attempts; gives what became of each job. Where the job completes, what the attempt asks for [`Besides`] is done in
    /// the same transaction; where it does not, or the token is stale, nothing of that is.
    async fn finish(&self, finishes: Vec<Finish>, now: Time) -> Result<Vec<Result<Life, Refusal>>, StoreError>;

    /// Cancels jobs: those that wait end at once, running ones are asked to stop.
    async fn cancel(&self, cancels: Vec<Cancel>, now: Time) -> Result<Vec<Cancelled>, StoreError>;

    /// Forgets a job that has ended, with all that belongs to it. `None` if there is no such job, `Some(Err)` with its
    /// state if it has not ended.
    async fn delete(&self, job: JobId, tenant: Option<&Tenant>) -> Result<Option<Result<(), State>>, StoreError>;

    /// The leases of a worker that is known to be dead lapse at once, and the deliveries that it had taken are due; gives how
    /// many leases.
    async fn worker_died(&self, worker: &WorkerId, now: Time) -> Result<usize, StoreError>;

    /// Does what is due at `now`: lapsed leases, passed deadlines, ended retention. Looks at no more than `max` jobs of
    /// each; call again at once if [`Swept::more`].
    async fn sweep(&self, max: usize, now: Time) -> Result<Swept, StoreError>;

    /// A job with its outcome.
    async fn get(&self, job: JobId, tenant: Option<&Tenant>) -> Result<Option<Job>, StoreError>;

    /// What a job's handler is given.
    async fn input(&self, job: JobId) -> Result<Option<Json>, StoreError>;

    /// The recorded steps of a job, in order.
    async fn steps(&self, job: JobId) -> Result<Vec<StepRecord>, StoreError>;

    /// Up to `max` events after number `after`, and no more than about a mebibyte of them (but at least one). `None` if
    /// there is no such job.
    async fn read_log(
        &self,
        job: JobId,
        tenant: Option<&Tenant>,
        after: u64,
        max: usize,
    ) -> Result<Option<LogPage>, StoreError>;

    /// Jobs that pass the filter, newest first, without outcomes. A page may be short of `max`, even empty, and still
    /// have a next one: a call looks at a bounded number of jobs. `now` decides which waiting jobs count as queued.
    async fn list(&self, filter: Filter, max: usize, now: Time) -> Result<ListPage, StoreError>;

    /// How far a waiting job is from being claimed; `None` if it does not wait to be claimed. One that waits for another
    /// with its concurrency key does.
    fn place(&self, job: &Job) -> Option<Place>;

    /// Every queue that is paused or in which jobs wait.
    fn queues(&self) -> Vec<QueueStatus>;

    /// How many jobs wait, ready or not.
    fn waiting(&self) -> usize;

    /// How many calls wait to be made durable.
    fn backlog(&self) -> usize {
        0
    }

    /// Stops or resumes claiming from a queue. Survives restarts.
    async fn set_paused(&self, queue: &QueueName, paused: bool) -> Result<(), StoreError>;

    /// Keeps an API key.
    async fn add_key(&self, key: ApiKey) -> Result<(), StoreError>;

    /// The API key with this public part.
    async fn key(&self, id: &str) -> Result<Option<ApiKey>, StoreError>;

    /// Every API key, oldest first.
    async fn keys(&self) -> Result<Vec<ApiKey>, StoreError>;

    /// From `now` on an API key is refused; whether there is such a key.
    async fn revoke_key(&self, id: &str, now: Time) -> Result<bool, StoreError>;

    /// Takes deliveries that are due: the ends of jobs that webhooks are to be told. A delivery is noted in the transaction
    /// that ends its job, and is due at once; it is forgotten with the job. Those that are due first come first; where more
    /// than [`crate::DELIVERIES_LOOKED_AT`] are due, endpoints take turns besides. One that was taken
    /// [`crate::UNHEARD_MAX`] times in vain is given up.
    async fn claim_deliveries(&self, request: DeliveryRequest, now: Time) -> Result<DueDeliveries, StoreError>;

    /// Notes what became of tries. What is known already, or is no more, is passed over.
    async fn note_deliveries(&self, tried: Vec<Tried>, now: Time) -> Result<(), StoreError>;

    /// How far the delivery of a job's end is; `None` if there is nothing to deliver, yet or ever.
    async fn delivery(&self, job: JobId, tenant: Option<&Tenant>) -> Result<Option<Delivery>, StoreError>;

    /// The end of a job is delivered anew, from the first try; whether there is anything to deliver.
    async fn deliver_again(&self, job: JobId, tenant: Option<&Tenant>, now: Time) -> Result<bool, StoreError>;

    /// The secrets of a tenant's webhooks; with `fresh` as its first one if it has none.
    async fn webhook_secrets(&self, tenant: &Tenant, fresh: [u8; 32]) -> Result<WebhookSecrets, StoreError>;

    /// Gives a tenant's webhooks this secret. The one before signs until `overlap` as well.
    async fn rotate_webhook_secret(
        &self,
        tenant: &Tenant,
        fresh: [u8; 32],
        overlap: Time,
    ) -> Result<WebhookSecrets, StoreError>;

    /// Finishes what was begun and closes; every later call gives [`StoreError::Stopped`].
    async fn close(&self) -> Result<(), StoreError>;
}

/// What a store takes at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Jobs of one tenant that wait at once.
    pub waiting_per_tenant: usize,
    /// Jobs that wait at once, of all tenants together. Each takes about 8 bytes of memory.
    pub waiting: usize,
    /// Idempotency keys remembered at once. Each takes about 100 bytes of memory.
    pub idempotency_keys: usize,
    /// Conversations of one tenant.
    pub conversations_per_tenant: usize,
    /// Messages of one conversation.
    pub messages_per_conversation: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            waiting_per_tenant: 1_000_000,
            waiting: 10_000_000,
            idempotency_keys: 5_000_000,
            conversations_per_tenant: 1_000_000,
            messages_per_conversation: 10_000,
        }
    }
}

/// A job to accept.
#[derive(Clone, Debug)]
pub struct NewJob {
    /// What is asked for; `created_at` should be the time of the call.
    pub spec: Arc<Spec>,
    /// What the handler is given.
    pub input: Json,
    /// Chance, for the id.
    pub random: u64,
    /// The caller's own name for the request.
    pub idempotency: Option<Idempotency>,
    /// What the user says, if the job is to answer it. The store stores message and answer with the job, and gives the job
    /// [`Spec::turn`] and the concurrency key of the conversation.
    pub turn: Option<NewTurn>,
}

impl NewJob {
    /// About how many bytes it holds.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let turn = |turn: &NewTurn| {
            128 + turn.content.as_str().len() + turn.metadata.as_ref().map_or(0, |metadata| metadata.as_str().len())
        };
        512 + self.input.as_str().len() + self.turn.as_ref().map_or(0, turn)
    }
}

/// A caller's own name for a request, by which a repeated one is recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Idempotency {
    /// 128 bits of the SHA-256 of tenant and key.
    pub key: u128,
    /// 128 bits of the SHA-256 of the request, to tell a repeated one from another under the same key.
    pub fingerprint: u128,
}

/// What became of a job to accept.
#[derive(Clone, Debug, PartialEq)]
pub enum Acceptance {
    /// It is accepted.
    New(Job),
    /// It was accepted before, under the same key.
    Existing(Job),
    /// The key stands for another request.
    KeyReused(JobId),
    /// The tenant, or the server as a whole, has as many jobs waiting as it may.
    QuotaReached {
        /// How many wait.
        waiting: usize,
        /// How many may.
        limit: usize,
    },
    /// As many idempotency keys are remembered as may be.
    KeysExhausted,
    /// The turn cannot be taken.
    NoTurn(ConversationRefusal),
}

/// A worker that can run more jobs.
#[derive(Clone, Debug)]
pub struct ClaimRequest {
    /// Who.
    pub worker: WorkerId,
    /// What, and how many of each: the first come first.
    pub wants: Vec<Want>,
    /// How many in all.
    pub max: usize,
    /// How long the leases last.
    pub lease: Duration,
}

/// What a worker was given.
#[derive(Clone, Debug, Default)]
pub struct Claims {
    /// The jobs, now running.
    pub jobs: Vec<Claimed>,
    /// When the next job that waits for its time will be ready.
    pub next_due: Option<Time>,
}

/// A job under a lease.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// The job, now running.
    pub job: Job,
    /// What its handler is given.
    pub input: Json,
    /// The steps that earlier attempts recorded.
    pub steps: Vec<StepRecord>,
}

/// A heartbeat of one attempt.
#[derive(Clone, Copy, Debug)]
pub struct Beat {
    /// Its job.
    pub job: JobId,
    /// Its token.
    pub fence: Fence,
    /// How long the lease now lasts.
    pub until: Time,
}

/// What an attempt hears with its heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beaten {
    /// It should stop.
    pub cancel_requested: bool,
}

/// What an attempt adds to its log.
#[derive(Clone, Debug)]
pub struct Append {
    /// Its job.
    pub job: JobId,
    /// Its token.
    pub fence: Fence,
    /// What it adds, in order.
    pub notes: Vec<Note>,
    /// After which event of the log they belong, by what the attempt was told last. As many of the notes as the attempt has
    /// in the log behind it are there already, and not added again: so a call that is repeated because its answer was lost
    /// adds nothing twice. `None` adds all.
    pub after: Option<u64>,
}

/// The end of an attempt.
#[derive(Clone, Debug)]
pub struct Finish {
    /// Its job.
    pub job: JobId,
    /// Its token.
    pub fence: Fence,
    /// What it adds to the log first, in order.
    pub notes: Vec<Note>,
    /// How it ends.
    pub ending: Ending,
    /// Chance, for the jitter of a retry.
    pub dice: Dice,
    /// What it leaves besides its result, if the job completes.
    pub besides: Besides,
}

/// How many follow-up jobs an attempt may ask for. Those beyond are dropped.
pub const FOLLOW_UPS_MAX: usize = 16;

/// What a completed attempt leaves besides its result.
#[derive(Clone, Debug, Default)]
pub struct Besides {
    /// Jobs to accept as [`Store::accept`] does, up to [`FOLLOW_UPS_MAX`]. An event of the completed job says for each what
    /// became of it: one that cannot be accepted (a quota is reached, its idempotency key stands for another request) is
    /// dropped, and never keeps the job from completing.
    pub follow_ups: Vec<NewJob>,
    /// What a job with a turn answers; its result if left out.
    pub reply: Option<Json>,
    /// Summaries of conversations, up to [`SUMMARIES_MAX`]. One of a conversation that is no more, or of messages that are not
    /// there, is dropped.
    pub summaries: Vec<NewSummary>,
}

impl Besides {
    /// About how many bytes it holds.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let follow_ups: usize = self.follow_ups.iter().map(NewJob::bytes).sum();
        let summaries: usize = self.summaries.iter().map(|new| 128 + new.content.as_str().len()).sum();
        follow_ups + summaries + self.reply.as_ref().map_or(0, |reply| reply.as_str().len())
    }
}

/// What the log of a completed job says of a follow-up job that it asked for.
#[must_use]
pub fn followed_up(kind: Kind, accepted: &Result<Acceptance, StoreError>) -> FollowUp {
    let (problem, detail) = match accepted {
        Ok(Acceptance::New(job) | Acceptance::Existing(job)) => {
            return FollowUp { kind, became: Became::Job(job.id) };
        }
        Ok(Acceptance::KeyReused(job)) => (
            ProblemType::IDEMPOTENCY_KEY_REUSED,
            format!("the key already stands for {job}, which was another request"),
        ),
        Ok(Acceptance::QuotaReached { waiting, limit }) => {
            (ProblemType::QUOTA_REACHED, format!("{waiting} jobs were waiting, and {limit} may"))
        }
        Ok(Acceptance::KeysExhausted) => {
            (ProblemType::OVERLOADED, "as many idempotency keys were remembered as may be".to_owned())
        }
        Ok(Acceptance::NoTurn(refusal)) => {
            let Problem { detail, .. } = refusal.problem();
            (refusal.problem_type(), detail)
        }
        Err(error) => (ProblemType::OVERLOADED, error.to_string()),
    };
    // What is read from a log has no class, so what is written has none either.
    FollowUp { kind, became: Became::Error(Problem { class: Class::default(), ..Problem::new(problem, detail) }) }
}

/// A wish to cancel.
#[derive(Clone, Debug)]
pub struct Cancel {
    /// The job.
    pub job: JobId,
    /// Whose, if it must be theirs.
    pub tenant: Option<Tenant>,
    /// Why, if they said.
    pub reason: Option<String>,
}

/// What became of a wish to cancel.
#[derive(Clone, Debug, PartialEq)]
pub enum Cancelled {
    /// The job is cancelled, or its attempt is asked to stop.
    Done(Life),
    /// The job had already ended.
    Finished(State),
    /// There is no such job.
    Unknown,
}

/// A part of a job's log.
#[derive(Clone, Debug, Default)]
pub struct LogPage {
    /// The events, in order.
    pub events: Vec<Event>,
    /// The number of the last event of the whole log.
    pub last_seq: u64,
    /// Whether the job has ended, so that nothing will follow `last_seq`.
    pub ended: bool,
}

/// Which jobs a list shows.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only this tenant's.
    pub tenant: Option<Tenant>,
    /// Only in this state.
    pub state: Option<State>,
    /// Only of this kind.
    pub kind: Option<Kind>,
    /// Only of this queue.
    pub queue: Option<QueueName>,
    /// Only with all of these labels.
    pub labels: Vec<(String, String)>,
    /// Only older than this: the cursor of the page before.
    pub before: Option<JobKey>,
}

impl Filter {
    /// Whether a job passes, apart from the cursor.
    #[must_use]
    pub fn passes(&self, job: &Job, now: Time) -> bool {
        self.tenant.as_ref().is_none_or(|tenant| *tenant == job.spec.tenant)
            && self.state.is_none_or(|state| state == job.life.state_at(now))
            && self.kind.as_ref().is_none_or(|kind| *kind == job.spec.kind)
            && self.queue.as_ref().is_none_or(|queue| *queue == job.spec.queue)
            && self.labels.iter().all(|(name, value)| job.spec.labels.get(name) == Some(value))
    }
}

/// A page of a list.
#[derive(Clone, Debug, Default)]
pub struct ListPage {
    /// The jobs, newest first.
    pub jobs: Vec<Job>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<JobKey>,
}

/// What a sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Leases that lapsed.
    pub lapsed: usize,
    /// Jobs that passed their deadline.
    pub expired: usize,
    /// Jobs that were forgotten.
    pub forgotten: usize,
    /// Whether more is due.
    pub more: bool,
}

/// What waits in a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueStatus {
    /// The queue.
    pub queue: QueueName,
    /// How many jobs wait to be claimed. Those that wait for another with their concurrency key are not counted.
    pub ready: usize,
    /// Whether claiming from it is stopped.
    pub paused: bool,
}

impl QueueStatus {
    /// What a ready set holds, queue by queue.
    #[must_use]
    pub fn of(ready: &ReadySet) -> Vec<Self> {
        let mut queues = BTreeMap::<&QueueName, (usize, bool)>::new();
        ready
            .depths()
            .filter(|(.., depth)| *depth > 0)
            .for_each(|(queue, _, depth)| queues.entry(queue).or_default().0 += depth);
        ready.paused().for_each(|queue| queues.entry(queue).or_default().1 = true);
        queues.into_iter().map(|(queue, (ready, paused))| Self { queue: queue.clone(), ready, paused }).collect()
    }
}
