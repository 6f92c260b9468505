use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use raincheck_core::{
    Backoff, Dice, Ending, Json, Kind, Openings, Priority, QueueName, Spec, Tenant, Time, Want, WorkerId,
};
use raincheck_store::{Besides, ClaimRequest, Claimed, Finish, Idempotency, Limits, NewJob, Silent, Store};
use raincheck_store_sqlite::{Options, SqliteStore};

/// What is measured: something that keeps jobs, and answers once they are on the disk.
pub(crate) trait Subject: Send + Sync + Sized + 'static {
    /// What was claimed.
    type Claim: Send;

    /// In an empty directory.
    fn open(directory: &Path) -> impl Future<Output = Self> + Send;

    /// Makes jobs durable.
    fn accept(&self, jobs: Vec<NewJob>) -> impl Future<Output = ()> + Send;

    /// Takes so many jobs at most.
    fn claim(&self, max: usize) -> impl Future<Output = Vec<Self::Claim>> + Send;

    /// Ends what was claimed.
    fn finish(&self, claims: Vec<Self::Claim>) -> impl Future<Output = ()> + Send;

    /// How many jobs could be claimed.
    fn waiting(&self) -> u64;

    fn close(&self) -> impl Future<Output = ()> + Send;
}

/// The embedded store.
pub(crate) struct Jobs(pub(crate) SqliteStore);

#[expect(clippy::disallowed_methods, reason = "what is measured is real time")]
pub(crate) fn now() -> Time {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Time::from_millis(i64::try_from(since.as_millis()).unwrap_or_default())
}

/// The JSON that every job is given: 512 bytes.
pub(crate) fn input() -> Json {
    let frame = r#"{"text":""}"#.len();
    let input = Json::from(serde_json::json!({"text": "x".repeat(512 - frame)}));
    assert_eq!(input.as_str().len(), 512);
    input
}

/// A job with an idempotency key of its own, made of `number`.
pub(crate) fn job(template: &Spec, input: &Json, number: u64) -> NewJob {
    let now = now();
    // A request brings names of its own.
    let tenant = template.tenant.as_str().parse().expect("a name");
    let kind: Kind = template.kind.as_str().parse().expect("a name");
    let queue = QueueName::from(&kind);
    let spec = Spec {
        created_at: now,
        run_at: now,
        tenant,
        kind,
        queue,
        lane: None,
        concurrency_key: None,
        labels: [].into(),
        webhook: None,
        ..*template
    };
    let half = |seed: u64| u128::from(mix(number ^ seed));
    let key = half(0x51) << 64 | half(0x72);
    let idempotency = Some(Idempotency { key, fingerprint: half(0x93) << 64 | half(0xb4) });
    NewJob { spec: Arc::new(spec), input: input.clone(), random: mix(number), idempotency, turn: None }
}

pub(crate) fn template() -> Spec {
    Spec {
        kind: "echo".parse().expect("a name"),
        queue: "echo".parse().expect("a name"),
        priority: Priority::default(),
        tenant: Tenant::default(),
        concurrency_key: None,
        labels: [].into(),
        created_at: Time::EPOCH,
        run_at: Time::EPOCH,
        max_attempts: 3,
        timeout_ms: 60_000,
        deadline: None,
        backoff: Backoff::default(),
        retention_ms: 7 * 24 * 3_600_000,
        retry_of: None,
        turn: None,
        parent: None,
        webhook: None,
        lane: None,
    }
}

/// Spreads a number over all 64 bits (the end of SplitMix64).
fn mix(number: u64) -> u64 {
    let z = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Subject for Jobs {
    type Claim = Claimed;

    async fn open(directory: &Path) -> Self {
        let limits = Limits {
            waiting_per_tenant: usize::MAX,
            waiting: usize::MAX,
            idempotency_keys: usize::MAX,
            ..Limits::default()
        };
        let options = Options { limits, ..Options::new(directory) };
        Self(SqliteStore::open(options, Arc::new(Silent)).await.expect("the store opens"))
    }

    async fn accept(&self, jobs: Vec<NewJob>) {
        let accepted = self.0.accept(jobs, now()).await.expect("the jobs are accepted");
        let new = |acceptance: &_| matches!(acceptance, raincheck_store::Acceptance::New(_));
        assert!(accepted.iter().all(new), "{accepted:?}");
    }

    async fn claim(&self, max: usize) -> Vec<Claimed> {
        let wants = vec![Want { kind: template().kind, max, openings: Openings::default() }];
        let request = ClaimRequest { worker: WorkerId::new("bench"), wants, max, lease: Duration::from_secs(600) };
        self.0.claim(request, now()).await.expect("a claim is answered").jobs
    }

    async fn finish(&self, claims: Vec<Claimed>) {
        let finish = |Claimed { job, .. }: Claimed| Finish {
            job: job.id,
            fence: job.life.fence,
            notes: Vec::new(),
            ending: Ending::Completed(Json::from(serde_json::json!({"done": true}))),
            dice: Dice(0),
            besides: Besides::default(),
        };
        let finished = self.0.finish(claims.into_iter().map(finish).collect(), now()).await;
        assert!(finished.expect("the attempts end").iter().all(Result::is_ok));
    }

    fn waiting(&self) -> u64 {
        u64::try_from(Store::waiting(&self.0)).unwrap_or(u64::MAX)
    }

    async fn close(&self) {
        self.0.close().await.expect("the store closes");
    }
}
