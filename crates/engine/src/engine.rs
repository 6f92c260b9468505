use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use raincheck_core::{Job, JobId, Kind, Place, Problem, ProblemType, Spec, Tenant, Time};
use raincheck_store::{Acceptance, Cancel, Cancelled, Idempotency, NewJob, Store, StoreError};
use tokio::sync::Semaphore;

use crate::dispatcher::Places;
use crate::hub::Hub;
use crate::lag::Lag;
use crate::recorder::Recorder;
use crate::running::Attempts;
use crate::stats::Counters;
use crate::tasks::{Tasks, ended};
use crate::{
    Chance, Clock, LogReader, Notifier, Registry, Settings, Stats, Stop, Submission, SubmitError, Submitted,
    dispatcher, heartbeat, maintenance, tell,
};

/// When nothing is known about how fast jobs start.
const RETRY_AFTER_DEFAULT: Duration = Duration::from_secs(5);
/// After the last event of any log.
const END_OF_LOG: u64 = i64::MAX.unsigned_abs();
/// Nobody is told to come back later than this.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(300);

/// A running engine. Cheap to clone; all clones are the same engine.
#[derive(Clone)]
pub struct Engine(pub(crate) Arc<Parts>);

/// What the engine's parts share.
pub(crate) struct Parts {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) registry: Registry,
    pub(crate) settings: Settings,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) chance: Chance,
    pub(crate) tasks: Tasks,
    pub(crate) attempts: Arc<Attempts>,
    pub(crate) recorder: Recorder,
    pub(crate) stats: Counters,
    pub(crate) places: Places,
    pub(crate) notifier: OnceLock<Arc<dyn Notifier>>,
    /// How many webhooks may be told of a job that runs at once.
    pub(crate) tellings: Semaphore,
    lag: Lag,
    draining: AtomicBool,
}

impl Parts {
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::SeqCst)
    }
}

impl Engine {
    /// Starts an engine on a store that was opened with `hub` as its observer. Leases that an earlier life of this engine
    /// held lapse at once.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub async fn start(
        store: Arc<dyn Store>,
        hub: Arc<Hub>,
        registry: Registry,
        settings: Settings,
        clock: Arc<dyn Clock>,
        chance: Chance,
    ) -> Result<Self, StoreError> {
        let lapsed = store.worker_died(&settings.worker, clock.now()).await?;
        if lapsed > 0 {
            tracing::warn!(jobs = lapsed, "took back jobs that were running when the server last ended");
        }
        let recorder = Recorder::new(Arc::clone(&store), Arc::clone(&clock), settings.progress_interval);
        let places = Places::new(&registry, settings.concurrency);
        let attempts = Arc::clone(&hub.attempts);
        let (tasks, stats, lag, draining) =
            (Tasks::default(), Counters::default(), Lag::default(), AtomicBool::new(false));
        let parts = Parts {
            store,
            hub,
            registry,
            settings,
            clock,
            chance,
            tasks,
            attempts,
            recorder,
            stats,
            places,
            notifier: OnceLock::new(),
            tellings: Semaphore::new(tell::TELLINGS_MAX),
            lag,
            draining,
        };
        let engine = Self(Arc::new(parts));
        engine.spawn_loops();
        Ok(engine)
    }

    fn spawn_loops(&self) {
        let parts = &self.0;
        parts.tasks.spawn_loop(parts.recorder.clone().run());
        parts.tasks.spawn_loop(heartbeat::run(Arc::clone(parts)));
        parts.tasks.spawn_loop(maintenance::run(Arc::clone(parts)));
        parts.tasks.spawn_loop({
            let parts = Arc::clone(parts);
            async move { parts.lag.run().await }
        });
        parts.tasks.passing_on.spawn(Arc::clone(&parts.hub).run());
        parts.tasks.dispatching.spawn(dispatcher::run(Arc::clone(parts)));
    }

    /// Grants wishes for jobs, all checked before any is accepted: if one cannot be granted as it is, none is.
    ///
    /// # Errors
    /// The number of the wish that was refused, and why. Each accepted wish may still meet a quota of its own, which its
    /// entry then tells.
    pub async fn submit(
        &self,
        submissions: Vec<Submission>,
    ) -> Result<Vec<Result<Submitted, SubmitError>>, (usize, SubmitError)> {
        let parts = &self.0;
        let now = parts.clock.now();
        let mut jobs = Vec::with_capacity(submissions.len());
        for (number, submission) in submissions.into_iter().enumerate() {
            let spec = match self.check(&submission, now).await {
                Ok(spec) => spec,
                Err(problem) => match self.recall(&submission).await {
                    Ok(Some(spec)) => spec,
                    Ok(None) => return Err((number, SubmitError::Refused(problem))),
                    Err(error) => return Err((number, error.into())),
                },
            };
            jobs.push(self.with_chance(spec, submission));
        }
        let kinds: Vec<Kind> = jobs.iter().map(|job| job.spec.kind.clone()).collect();
        let acceptances = parts.store.accept(jobs, now).await.map_err(|error| (0, error.into()))?;
        let submitted = |(acceptance, kind): (_, &Kind)| self.submitted(acceptance, kind);
        Ok(acceptances.into_iter().zip(&kinds).map(submitted).collect())
    }

    /// Whether a wish can be granted as it is, and what it comes to.
    async fn check(&self, submission: &Submission, now: Time) -> Result<Arc<Spec>, Problem> {
        let registered = self.0.registry.get(&submission.kind);
        let (about, handler) = registered.ok_or_else(|| self.unknown(&submission.kind))?;
        let mut spec = submission.spec(about, now)?;
        if let Some(handler) = handler {
            handler.check_for(&submission.tenant, &submission.input).await?;
            spec.lane = handler.lane(&submission.input);
        }
        Ok(Arc::new(spec))
    }

    /// What a wish comes to, changed at last; not accepted yet.
    pub(crate) async fn new_job(
        &self,
        submission: Submission,
        change: impl FnOnce(&mut Spec),
    ) -> Result<NewJob, Problem> {
        let mut spec = self.check(&submission, self.0.clock.now()).await?;
        change(Arc::make_mut(&mut spec));
        Ok(self.with_chance(spec, submission))
    }

    fn with_chance(&self, spec: Arc<Spec>, submission: Submission) -> NewJob {
        let Submission { input, idempotency, turn, .. } = submission;
        let chance = &self.0.chance;
        NewJob { spec, input, random: chance.bits(), idempotency, turn: turn.map(|turn| turn.new_turn(chance)) }
    }

    /// A wish that cannot be granted now may have been granted before: its deadline has passed since, or its input is gone.
    /// Whoever asks again under the same key must not be told that it was refused.
    async fn recall(&self, submission: &Submission) -> Result<Option<Arc<Spec>>, StoreError> {
        let Some(idempotency) = submission.idempotency else { return Ok(None) };
        match self.0.store.recall(idempotency).await? {
            Some(Acceptance::Existing(job)) => Ok(Some(job.spec)),
            _ => Ok(None),
        }
    }

    fn submitted(&self, acceptance: Acceptance, kind: &Kind) -> Result<Submitted, SubmitError> {
        match acceptance {
            Acceptance::New(job) => {
                self.0.stats.accepted(kind);
                Ok(Submitted::New(job))
            }
            Acceptance::Existing(job) => Ok(Submitted::Existing(job)),
            Acceptance::KeyReused(job) => Err(SubmitError::Refused(Problem::new(
                ProblemType::IDEMPOTENCY_KEY_REUSED,
                format!("the key already stands for {job}, which was another request; use a new key for a new request"),
            ))),
            Acceptance::QuotaReached { waiting, limit } => {
                Err(SubmitError::Quota { waiting, limit, retry_after: self.retry_after(kind, 1) })
            }
            Acceptance::NoTurn(refusal) => Err(SubmitError::Refused(refusal.problem())),
            Acceptance::KeysExhausted => Err(SubmitError::Store(StoreError::OVERLOADED)),
        }
    }

    fn unknown(&self, kind: &Kind) -> Problem {
        let known: Vec<&str> = self.0.registry.kinds().map(|about| about.kind.as_str()).collect();
        let detail = format!("there is no kind {kind:?} here; there are: {}", known.join(", "), kind = kind.as_str());
        Problem::new(ProblemType::UNKNOWN_KIND, detail).at("/kind")
    }

    /// When `jobs` more of this kind will have started, by the rate at which places for them become free.
    #[must_use]
    pub fn retry_after(&self, kind: &Kind, jobs: usize) -> Duration {
        let rate = self.0.stats.rate(kind, self.0.places.taken(kind));
        if rate <= 0.0 {
            return RETRY_AFTER_DEFAULT;
        }
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let wait = jobs as f64 / rate;
        Duration::from_secs_f64(wait.min(RETRY_AFTER_MAX.as_secs_f64()))
    }

    /// A job with its outcome; `None` if there is no such job for the tenant.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn get(&self, job: JobId, tenant: Option<&Tenant>) -> Result<Option<Job>, StoreError> {
        self.0.store.get(job, tenant).await
    }

    /// The job as soon as it has ended, or as it is after `limit`.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn wait(&self, job: JobId, tenant: Option<&Tenant>, limit: Duration) -> Result<Option<Job>, StoreError> {
        let Some(mut reader) = self.follow(job, tenant, END_OF_LOG).await? else { return Ok(None) };
        let ended = async { while reader.next().await.is_ok_and(|events| !events.is_empty()) {} };
        let _ = tokio::time::timeout(limit, ended).await;
        self.get(job, tenant).await
    }

    /// Reads a job's log from after number `after`, and on as it grows; `None` if there is no such job for the tenant.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn follow(
        &self,
        job: JobId,
        tenant: Option<&Tenant>,
        after: u64,
    ) -> Result<Option<LogReader>, StoreError> {
        LogReader::open(Arc::clone(&self.0.store), Arc::clone(&self.0.hub), job, tenant, after).await
    }

    /// Ends a job that waits, or asks the running attempt to stop.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub async fn cancel(
        &self,
        job: JobId,
        tenant: Option<Tenant>,
        reason: Option<String>,
    ) -> Result<Cancelled, StoreError> {
        let cancels = vec![Cancel { job, tenant, reason }];
        let answers = self.0.store.cancel(cancels, self.0.clock.now()).await?;
        Ok(answers.into_iter().next().unwrap_or(Cancelled::Unknown))
    }

    /// Does a finished job anew, as a new job with the same wishes but for times that have passed. `None` if there is no
    /// such job for the tenant. Asked again under the same key, gives the same new job.
    ///
    /// # Errors
    /// If it has not ended, was a turn of a conversation, or the new job is refused.
    pub async fn retry(
        &self,
        job: JobId,
        tenant: Option<&Tenant>,
        idempotency: Option<Idempotency>,
    ) -> Result<Option<Submitted>, SubmitError> {
        let Some(old) = self.get(job, tenant).await? else { return self.retried(tenant, idempotency).await };
        if !old.life.state.is_final() {
            let detail = format!("the job is {}; cancel it first, or wait for its end", old.life.state);
            return Err(SubmitError::Refused(Problem::new(ProblemType::JOB_NOT_FINISHED, detail)));
        }
        if old.spec.turn.is_some() {
            let detail = "the job answered in a conversation, which goes on from there; say the message there again";
            return Err(SubmitError::Refused(Problem::new(ProblemType::INVALID_REQUEST, detail)));
        }
        let Some(input) = self.0.store.input(job).await? else { return self.retried(tenant, idempotency).await };
        let spec = &old.spec;
        let submission = Submission {
            kind: spec.kind.clone(),
            input,
            tenant: spec.tenant.clone(),
            queue: Some(spec.queue.clone()),
            concurrency_key: spec.concurrency_key.clone(),
            priority: spec.priority,
            labels: spec.labels.clone(),
            run_at: None,
            deadline: None,
            max_attempts: Some(spec.max_attempts),
            timeout: Some(Duration::from_millis(spec.timeout_ms)),
            retention: Some(Duration::from_millis(spec.retention_ms)),
            idempotency,
            retry_of: Some(job),
            webhook: spec.webhook.clone(),
            turn: None,
        };
        let submitted = self.submit(vec![submission]).await.map_err(|(_, error)| error)?;
        submitted.into_iter().next().transpose()
    }

    /// The new job that was accepted under this key before the old one was forgotten.
    async fn retried(
        &self,
        tenant: Option<&Tenant>,
        idempotency: Option<Idempotency>,
    ) -> Result<Option<Submitted>, SubmitError> {
        let Some(idempotency) = idempotency else { return Ok(None) };
        Ok(match self.0.store.recall(idempotency).await? {
            // Who may see every tenant's jobs may have used the key for that of another.
            Some(Acceptance::Existing(job)) if tenant.is_none_or(|tenant| *tenant == job.spec.tenant) => {
                Some(Submitted::Existing(job))
            }
            _ => None,
        })
    }

    /// How far a waiting job is from being started, and about when that will be.
    #[must_use]
    pub fn place(&self, job: &Job) -> Option<(Place, Duration)> {
        let place = self.0.store.place(job)?;
        let kind = &job.spec.kind;
        let starts_now = place.ahead < self.0.places.free(kind);
        let by_rate = if starts_now { Duration::ZERO } else { self.retry_after(kind, place.ahead) };
        // Those with its concurrency key come one after the other, however many places are free.
        let behind = u32::try_from(place.behind).unwrap_or(u32::MAX);
        let one_by_one = self.0.stats.took(kind).saturating_mul(behind).min(RETRY_AFTER_MAX);
        Some((place, by_rate.max(one_by_one)))
    }

    /// The kinds.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.0.registry
    }

    /// The store, for what needs no engine: lists, queues, keys.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.0.store
    }

    /// The clock.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.0.clock
    }

    /// 64 random bits, for names that nobody should guess.
    #[must_use]
    pub fn random(&self) -> u64 {
        self.0.chance.bits()
    }

    /// The time until a lease lapses without a heartbeat.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// What the engine has done since it started.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats {
            kinds: self.0.stats.snapshot(),
            running: self.0.attempts.len(),
            waiting: self.0.store.waiting(),
            followed: self.0.hub.followed_count(),
            deliveries: self.0.stats.deliveries(),
            runtime_lag: self.0.lag.longest(),
        }
    }

    /// Whether the engine is draining, and claims no more jobs.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.0.is_draining()
    }

    /// Stops claiming, gives running attempts `grace` to end, hands back those that do not, and closes the store.
    ///
    /// # Errors
    /// If the store cannot be closed.
    pub async fn drain(&self, grace: Duration) -> Result<(), StoreError> {
        let parts = &self.0;
        parts.draining.store(true, Ordering::SeqCst);
        parts.hub.wake_dispatcher();
        // It ends by itself, once what it is just claiming is started.
        ended(&parts.tasks.dispatching).await;
        if tokio::time::timeout(grace, ended(&parts.tasks.attempts)).await.is_err() {
            let attempts = parts.attempts.all();
            tracing::info!(jobs = attempts.len(), "handing back jobs that are still running");
            attempts.iter().for_each(|running| running.ask_to_stop(Stop::Draining));
            ended(&parts.tasks.attempts).await;
        }
        parts.hub.wake_deliverer();
        ended(&parts.tasks.delivering).await;
        parts.tasks.stop_loops().await;
        parts.hub.close();
        ended(&parts.tasks.passing_on).await;
        parts.store.close().await
    }
}
