use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use raincheck_core::{Event, Job, JobId, Json, Time};
use raincheck_engine::{About, Chance, Clock, Context, Engine, Failure, Handler, Hub, Registry, Settings, Submission};
use raincheck_store::{Limits, MemoryStore, Observer, Store};
use tokio::time::Instant;

/// tokio's clock as time of day, so that a test which moves one moves both.
pub(crate) struct TokioClock(Instant);

impl TokioClock {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(Instant::now()))
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Time {
        Time::from_millis(1_800_000_000_000).after(self.0.elapsed())
    }
}

/// A handler of kind `test` made of a function.
pub(crate) struct Work<F>(pub F);

pub(crate) fn test_about() -> About {
    About::new("test".parse().unwrap(), "a test", Json::null())
}

#[async_trait]
impl<F, R> Handler for Work<F>
where
    F: Fn(Context, Json) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Json, Failure>> + Send + 'static,
{
    fn about(&self) -> About {
        test_about()
    }

    async fn run(&self, context: Context, input: Json) -> Result<Json, Failure> {
        (self.0)(context, input).await
    }
}

/// An engine on a memory store, with the handler of one test.
pub(crate) struct Fixture {
    pub(crate) engine: Engine,
    pub(crate) store: Arc<dyn Store>,
}

pub(crate) async fn engine(handler: impl Handler) -> Fixture {
    engine_told_by(handler, |hub| hub).await
}

/// An engine whose hub is told of the store's changes by another observer.
pub(crate) async fn engine_told_by(
    handler: impl Handler,
    observer: impl FnOnce(Arc<Hub>) -> Arc<dyn Observer>,
) -> Fixture {
    let hub = Hub::new();
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new(Limits::default(), observer(Arc::clone(&hub))));
    let registry = Registry::default().with(handler);
    let (clock, chance) = (TokioClock::new(), Chance::seeded(1));
    let engine = Engine::start(Arc::clone(&store), hub, registry, Settings::default(), clock, chance).await.unwrap();
    Fixture { engine, store }
}

impl Fixture {
    pub(crate) async fn submit(&self, change: impl FnOnce(&mut Submission)) -> JobId {
        let mut submission = Submission::new("test".parse().unwrap(), Json::null());
        change(&mut submission);
        self.engine.submit(vec![submission]).await.unwrap().remove(0).unwrap().job().id
    }

    /// The job after its end, which must come within an hour.
    pub(crate) async fn end(&self, job: JobId) -> Job {
        let job = self.engine.wait(job, None, Duration::from_secs(3600)).await.unwrap().unwrap();
        assert!(job.life.state.is_final(), "{:?}", job.life);
        job
    }

    pub(crate) async fn log(&self, job: JobId) -> Vec<Event> {
        self.store.read_log(job, None, 0, usize::MAX).await.unwrap().unwrap().events
    }

    /// The types of the events in a job's log.
    pub(crate) async fn types(&self, job: JobId) -> Vec<&'static str> {
        self.log(job).await.iter().map(|event| event.body.event_type().as_str()).collect()
    }
}
