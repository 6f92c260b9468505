use std::path::PathBuf;
use std::sync::Arc;

use raincheck_engine::Hub;
use raincheck_store::{MemoryStore, Store};
use raincheck_store_sqlite::{OpenError, SqliteStore};
use tempfile::TempDir;

use crate::config::{Config, StoreKind};
use crate::exit::{Exit, Failure};

/// The store that the configuration names, open.
pub(crate) struct Opened {
    /// What keeps the jobs.
    pub(crate) kind: StoreKind,
    /// Where everything is kept, as an absolute path.
    pub(crate) directory: PathBuf,
    /// The store.
    pub(crate) store: Arc<dyn Store>,
    sqlite: Option<Arc<SqliteStore>>,
    /// Removed with all that is in it when the server ends.
    _temporary: Option<TempDir>,
}

impl Opened {
    /// Waits until a write has failed in a way that only a restart can clear up; never ends otherwise.
    pub(crate) async fn failed(&self) -> String {
        match &self.sqlite {
            Some(sqlite) => sqlite.failed().await,
            None => std::future::pending().await,
        }
    }
}

/// Opens the store; what it commits is told to the hub.
///
/// # Errors
/// If it cannot be opened.
pub(crate) async fn open(config: &Config, hub: Arc<Hub>) -> Result<Opened, Failure> {
    let kind = config.store.kind;
    match kind {
        StoreKind::Sqlite => {
            let options = config.store.options(&config.server, &config.limits);
            let sqlite = Arc::new(SqliteStore::open(options, hub).await.map_err(|error| not_opened(&error))?);
            let directory = config.server.data_dir.canonicalize().unwrap_or_else(|_| config.server.data_dir.clone());
            Ok(Opened { kind, directory, store: Arc::clone(&sqlite) as _, sqlite: Some(sqlite), _temporary: None })
        }
        StoreKind::Memory => {
            let temporary = TempDir::with_prefix("raincheck-").map_err(|error| {
                Failure::new(Exit::DataDirectory, format!("failed to make a temporary directory: {error}"))
            })?;
            let store = Arc::new(MemoryStore::new(config.limits.of_store(), hub));
            let directory = temporary.path().to_owned();
            Ok(Opened { kind, directory, store, sqlite: None, _temporary: Some(temporary) })
        }
    }
}

/// What to do about a data directory that cannot be opened.
pub(crate) fn not_opened(error: &OpenError) -> Failure {
    let failure = Failure::new(Exit::DataDirectory, error.to_string());
    match error {
        OpenError::Locked { .. } => failure.hint("stop that server first, or take another directory with --data-dir"),
        OpenError::Directory { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => {
            failure.hint("let the server's user write there, or take another directory with --data-dir")
        }
        _ => failure,
    }
}
