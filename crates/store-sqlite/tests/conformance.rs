//! The embedded store holds to the suite.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use raincheck_store::conformance::{Backend, differential};
use raincheck_store::{Limits, MemoryStore, Observer, Silent, Store};
use raincheck_store_sqlite::{Options, SqliteStore};
use tempfile::TempDir;

struct Directory(TempDir);

impl Directory {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("data")
    }
}

#[async_trait]
impl Backend for Directory {
    async fn open(&self, limits: Limits, observer: Arc<dyn Observer>) -> Arc<dyn Store> {
        let options = Options { limits, ..Options::new(self.path()) };
        Arc::new(SqliteStore::open(options, observer).await.unwrap())
    }

    fn is_durable(&self) -> bool {
        true
    }
}

raincheck_store::conformance!(Directory::new());

#[tokio::test]
async fn the_same_operations_leave_the_same_logs_as_in_the_model() {
    for seed in 0..3 {
        let directory = Directory::new();
        let memory: Arc<dyn Store> = Arc::new(MemoryStore::new(Limits::default(), Arc::new(Silent)));
        let sqlite = directory.open(Limits::default(), Arc::new(Silent)).await;
        differential::same_operations_same_logs(memory, sqlite, seed, 1_000).await;
    }
}
