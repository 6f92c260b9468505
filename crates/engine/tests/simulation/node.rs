use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use raincheck_core::{Job, JobId, WebhookEvent, WorkerId};
use raincheck_engine::{Chance, Clock, Engine, Hub, Notifier, Registry, Settings, Undelivered};
use raincheck_store::{Change, MemoryStore, Observer, WebhookSecrets};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::time::sleep;

use super::link::Link;
use super::plan::{Planned, short_time};

/// One engine of the fleet.
pub(crate) struct Node {
    pub(crate) engine: Engine,
    pub(crate) link: Arc<Link>,
}

impl Node {
    pub(crate) async fn start(name: &str, seed: u64, world: &Fleet, fault_rate: f64, work: Planned) -> Self {
        let link = Link::new(Arc::clone(&world.store), seed, 0.0);
        let hub = Hub::new();
        world.bus.0.lock().unwrap().push((Arc::clone(&link), Arc::clone(&hub)));
        let settings = Settings { worker: WorkerId::new(name), concurrency: 6, ..Settings::default() };
        let (store, clock) = (Arc::clone(&link) as _, Arc::clone(&world.clock));
        let registry = Registry::default().with(work);
        let engine = Engine::start(store, hub, registry, settings, clock, Chance::seeded(seed)).await.unwrap();
        let (random, told) = (Mutex::new(StdRng::seed_from_u64(seed)), Arc::clone(&world.told));
        engine.deliver_by(Arc::new(Post { random, told, link: Arc::clone(&link) }));
        link.set_fault_rate(fault_rate);
        Self { engine, link }
    }
}

/// What all nodes share.
pub(crate) struct Fleet {
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) bus: Arc<Bus>,
    pub(crate) clock: Arc<dyn Clock>,
    /// The jobs of whose end a webhook was told.
    pub(crate) told: Arc<Mutex<BTreeSet<JobId>>>,
}

/// Brings the ends of jobs to their webhooks, as badly as everything else works here.
struct Post {
    random: Mutex<StdRng>,
    told: Arc<Mutex<BTreeSet<JobId>>>,
    link: Arc<Link>,
}

#[async_trait]
impl Notifier for Post {
    async fn deliver(&self, job: &Job, _: (WebhookEvent, u64), _: &WebhookSecrets) -> Result<String, Undelivered> {
        let (time, fails) = {
            let mut random = self.random.lock().unwrap();
            (short_time(&mut random, 10_000), random.random_bool(self.link.fault_rate() / 4.0))
        };
        sleep(time).await;
        if fails {
            return Err(Undelivered { answer: "lost".into(), retry_after: None, is_final: false });
        }
        self.told.lock().unwrap().insert(job.id);
        Ok("204".into())
    }
}

/// Tells every engine what was committed, unless it is down: then it misses it, and must find out by itself.
#[derive(Default)]
pub(crate) struct Bus(Mutex<Vec<(Arc<Link>, Arc<Hub>)>>);

impl Observer for Bus {
    fn committed(&self, changes: &[Change]) {
        for (link, hub) in self.0.lock().unwrap().iter() {
            if link.is_up() {
                hub.committed(changes);
            }
        }
    }
}
