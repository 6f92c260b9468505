use std::sync::Arc;
use std::time::Duration;

use raincheck_core::{Event, Job, JobId, Json, Problem, Time};
use raincheck_engine::{Chance, Clock, Engine, Hub, Registry, Settings, Submission, SubmitError};
use raincheck_store::{Limits, MemoryStore, Store};
use tokio::time::Instant;

/// tokio's clock as time of day: a test that pauses one pauses both.
struct TokioClock(Instant);

impl Clock for TokioClock {
    fn now(&self) -> Time {
        Time::from_millis(1_800_000_000_000).after(self.0.elapsed())
    }
}

/// An engine with these handlers, on a memory store.
pub(crate) async fn engine(registry: Registry) -> Engine {
    engine_at(|_| registry).await
}

/// An engine with handlers that go by its clock.
pub(crate) async fn engine_at(registry: impl FnOnce(Arc<dyn Clock>) -> Registry) -> Engine {
    let hub = Hub::new();
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new(Limits::default(), Arc::clone(&hub) as _));
    let (settings, clock) = (Settings::default(), Arc::new(TokioClock(Instant::now())));
    let registry = registry(Arc::clone(&clock) as _);
    Engine::start(store, hub, registry, settings, clock, Chance::seeded(1)).await.unwrap()
}

pub(crate) async fn submit(engine: &Engine, kind: &str, input: serde_json::Value) -> Result<JobId, Problem> {
    submit_with(engine, kind, input, |_| ()).await
}

/// With other wishes.
pub(crate) async fn submit_with(
    engine: &Engine,
    kind: &str,
    input: serde_json::Value,
    wish: impl FnOnce(&mut Submission),
) -> Result<JobId, Problem> {
    let mut submission = Submission::new(kind.parse().unwrap(), Json::from(input));
    wish(&mut submission);
    match engine.submit(vec![submission]).await {
        Ok(mut answers) => Ok(answers.remove(0).unwrap().job().id),
        Err((_, SubmitError::Refused(problem))) => Err(problem),
        Err(other) => panic!("{other:?}"),
    }
}

pub(crate) async fn end(engine: &Engine, job: JobId) -> Job {
    end_within(engine, job, Duration::from_secs(60)).await
}

pub(crate) async fn end_within(engine: &Engine, job: JobId, limit: Duration) -> Job {
    let job = engine.wait(job, None, limit).await.unwrap().unwrap();
    assert!(job.life.state.is_final(), "{:?}", job.life);
    job
}

pub(crate) async fn log(engine: &Engine, job: JobId) -> Vec<Event> {
    engine.store().read_log(job, None, 0, usize::MAX).await.unwrap().unwrap().events
}
