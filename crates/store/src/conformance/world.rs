use std::sync::{Arc, Mutex};
use std::time::Duration;

use raincheck_core::{
    Backoff, Dice, Ending, Event, EventType, Job, JobId, Json, Life, Note, Openings, Outcome, Priority, Problem,
    ProblemType, Refusal, Retry, Spec, State, Time, Want, WorkerId,
};
use serde_json::json;

use crate::conformance::Backend;
use crate::{
    Acceptance, Append, Beat, Besides, Cancel, Cancelled, Change, ClaimRequest, Claimed, Filter, Finish, Idempotency,
    Limits, NewJob, Observer, Store, Swept,
};

/// How long the leases of these tests last.
pub(super) const LEASE: Duration = Duration::from_secs(30);

/// Remembers what it is told.
#[derive(Debug, Default)]
pub(super) struct Ear(Mutex<Vec<Change>>);

impl Observer for Ear {
    fn committed(&self, changes: &[Change]) {
        self.0.lock().unwrap().extend_from_slice(changes);
    }
}

/// A store under test, its observer, and the time.
pub(super) struct World {
    pub(super) store: Arc<dyn Store>,
    pub(super) ear: Arc<Ear>,
    pub(super) now: Time,
}

/// A moment from which the tests begin.
pub(super) const START: Time = Time::from_millis(1_800_000_000_000);

pub(super) fn spec() -> Spec {
    Spec {
        kind: "echo".parse().unwrap(),
        queue: "echo".parse().unwrap(),
        priority: Priority::default(),
        tenant: "default".parse().unwrap(),
        labels: [("team".to_owned(), "red".to_owned())].into(),
        created_at: START,
        run_at: START,
        max_attempts: 3,
        timeout_ms: 60_000,
        deadline: None,
        backoff: Backoff { base_ms: 1_000, cap_ms: 8_000 },
        retention_ms: 3_600_000,
        retry_of: None,
        turn: None,
        parent: None,
        concurrency_key: None,
        webhook: None,
        lane: None,
    }
}

pub(super) fn input(number: u64) -> Json {
    json!({"number": number, "text": "Grüße"}).into()
}

pub(super) fn new(spec: Spec) -> NewJob {
    NewJob { spec: Arc::new(spec), input: input(1), random: 0x1234_5678_9abc_def0, idempotency: None, turn: None }
}

pub(super) fn keyed(spec: Spec, key: u128, fingerprint: u128) -> NewJob {
    NewJob { idempotency: Some(Idempotency { key, fingerprint }), ..new(spec) }
}

pub(super) fn completed() -> Ending {
    Ending::Completed(json!({"echo": true}).into())
}

pub(super) fn problem() -> Problem {
    Problem::new(ProblemType::HANDLER_FAILED, "it broke")
}

pub(super) fn failed(retry: Retry) -> Ending {
    Ending::Failed { problem: problem(), retry }
}

pub(super) fn worker(name: &str) -> WorkerId {
    WorkerId::new(name)
}

impl World {
    pub(super) async fn new(backend: &dyn Backend) -> Self {
        Self::with(backend, Limits::default()).await
    }

    pub(super) async fn with(backend: &dyn Backend, limits: Limits) -> Self {
        let ear = Arc::new(Ear::default());
        let observer: Arc<dyn Observer> = Arc::<Ear>::clone(&ear);
        Self { store: backend.open(limits, observer).await, ear, now: START }
    }

    pub(super) async fn reopened(self, backend: &dyn Backend) -> Self {
        self.store.close().await.unwrap();
        let now = self.now;
        drop(self);
        Self { now, ..Self::new(backend).await }
    }

    pub(super) fn heard(&self) -> Vec<Change> {
        self.ear.0.lock().unwrap().clone()
    }

    pub(super) fn pass(&mut self, time: Duration) {
        self.now = self.now.after(time);
    }

    pub(super) async fn accept_all(&self, jobs: Vec<NewJob>) -> Vec<Acceptance> {
        self.store.accept(jobs, self.now).await.unwrap()
    }

    pub(super) async fn accept(&self, job: NewJob) -> Acceptance {
        self.accept_all(vec![job]).await.pop().unwrap()
    }

    /// Accepts a job that must be new.
    pub(super) async fn submit(&self, spec: Spec) -> Job {
        match self.accept(new(spec)).await {
            Acceptance::New(job) => job,
            other => panic!("not accepted: {other:?}"),
        }
    }

    /// Accepts a job as of now.
    pub(super) async fn submit_now(&self) -> Job {
        self.submit(Spec { created_at: self.now, run_at: self.now, ..spec() }).await
    }

    pub(super) async fn claim_as(&self, name: &str, max: usize) -> Vec<Claimed> {
        let wants = vec![Want { kind: spec().kind, max, openings: Openings::default() }];
        self.store.claim(ClaimRequest { worker: worker(name), wants, max, lease: LEASE }, self.now).await.unwrap().jobs
    }

    pub(super) async fn claim(&self, max: usize) -> Vec<Claimed> {
        self.claim_as("w1", max).await
    }

    /// Claims the one job that waits.
    pub(super) async fn start(&self) -> Job {
        let mut jobs = self.claim(10).await;
        assert_eq!(jobs.len(), 1, "{jobs:?}");
        jobs.pop().unwrap().job
    }

    pub(super) async fn finish_with(&self, job: &Job, notes: Vec<Note>, ending: Ending) -> Result<Life, Refusal> {
        let finish = Finish {
            job: job.id,
            fence: job.life.fence,
            notes,
            ending,
            dice: Dice(u32::MAX),
            besides: Besides::default(),
        };
        self.store.finish(vec![finish], self.now).await.unwrap().pop().unwrap()
    }

    pub(super) async fn finish_besides(&self, job: &Job, ending: Ending, besides: Besides) -> Result<Life, Refusal> {
        let (notes, dice) = (Vec::new(), Dice(u32::MAX));
        let finish = Finish { job: job.id, fence: job.life.fence, notes, ending, dice, besides };
        self.store.finish(vec![finish], self.now).await.unwrap().pop().unwrap()
    }

    pub(super) async fn finish(&self, job: &Job, ending: Ending) -> Result<Life, Refusal> {
        self.finish_with(job, Vec::new(), ending).await
    }

    pub(super) async fn append(&self, job: &Job, notes: Vec<Note>) -> Result<u64, Refusal> {
        self.append_after(job, None, notes).await
    }

    pub(super) async fn append_after(&self, job: &Job, after: Option<u64>, notes: Vec<Note>) -> Result<u64, Refusal> {
        let append = Append { job: job.id, fence: job.life.fence, notes, after };
        self.store.append(vec![append], self.now).await.unwrap().pop().unwrap()
    }

    pub(super) async fn beat(&self, job: &Job, until: Time) -> Result<bool, Refusal> {
        let beat = Beat { job: job.id, fence: job.life.fence, until };
        let beaten = self.store.heartbeat(vec![beat], self.now).await.unwrap().pop().unwrap();
        beaten.map(|beaten| beaten.cancel_requested)
    }

    pub(super) async fn cancel(&self, job: JobId, reason: Option<&str>) -> Cancelled {
        let cancel = Cancel { job, tenant: None, reason: reason.map(str::to_owned) };
        self.store.cancel(vec![cancel], self.now).await.unwrap().pop().unwrap()
    }

    pub(super) async fn sweep(&self) -> Swept {
        self.store.sweep(100, self.now).await.unwrap()
    }

    pub(super) async fn job(&self, id: JobId) -> Job {
        self.store.get(id, None).await.unwrap().expect("the job is there")
    }

    pub(super) async fn state(&self, id: JobId) -> State {
        self.job(id).await.life.state
    }

    pub(super) async fn outcome(&self, id: JobId) -> Outcome {
        self.job(id).await.outcome.expect("the job has ended")
    }

    /// The whole log; makes sure that it has no gaps and at most one end, at its end.
    pub(super) async fn log(&self, id: JobId) -> Vec<Event> {
        let page = self.store.read_log(id, None, 0, usize::MAX).await.unwrap().expect("the job is there");
        let numbers: Vec<u64> = page.events.iter().map(|event| event.seq).collect();
        assert_eq!(numbers, (1..=page.last_seq).collect::<Vec<_>>(), "gaps in {:?}", page.events);
        let ends = page.events.iter().filter(|event| event.body.event_type().is_final()).count();
        assert_eq!(ends, usize::from(page.ended), "ends in {:?}", page.events);
        page.events
    }

    /// The sorts of its events.
    pub(super) async fn story(&self, id: JobId) -> Vec<EventType> {
        self.log(id).await.iter().map(|event| event.body.event_type()).collect()
    }

    pub(super) async fn list(&self, filter: Filter) -> Vec<JobId> {
        let page = self.store.list(filter, 1_000, self.now).await.unwrap();
        assert_eq!(page.next, None);
        page.jobs.iter().map(|job| job.id).collect()
    }
}
