use std::sync::{Arc, Mutex};

use raincheck_core::WorkerId;
use raincheck_engine::{Chance, Clock, Engine, Hub, Registry, Settings};
use raincheck_store::{Change, MemoryStore, Observer};

use super::link::Link;
use super::plan::Planned;

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
        link.set_fault_rate(fault_rate);
        Self { engine, link }
    }
}

/// What all nodes share.
pub(crate) struct Fleet {
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) bus: Arc<Bus>,
    pub(crate) clock: Arc<dyn Clock>,
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
