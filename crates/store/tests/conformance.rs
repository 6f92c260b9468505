//! The in-memory model holds to the suite.

use std::sync::Arc;

use async_trait::async_trait;
use raincheck_store::conformance::Backend;
use raincheck_store::{Limits, MemoryStore, Observer, Store};

struct Memory;

#[async_trait]
impl Backend for Memory {
    async fn open(&self, limits: Limits, observer: Arc<dyn Observer>) -> Arc<dyn Store> {
        Arc::new(MemoryStore::new(limits, observer))
    }

    fn is_durable(&self) -> bool {
        false
    }
}

raincheck_store::conformance!(Memory);
