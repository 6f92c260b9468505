use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use raincheck_engine::Hub;
use raincheck_store::{Limits, MemoryStore, Store};
use raincheck_store_sqlite::{OpenError, Options, SqliteStore};
use tempfile::TempDir;

/// Where jobs are to be kept.
#[derive(Clone, Debug)]
pub enum Keep {
    /// In a data directory, by SQLite: they survive power cuts.
    Sqlite(Options),
    /// In memory: nothing survives the process.
    Memory(Limits),
}

/// A store that is open, and the directory beside it.
pub struct Kept {
    /// Where everything is kept, as an absolute path.
    pub directory: PathBuf,
    /// The store.
    pub store: Arc<dyn Store>,
    sqlite: Option<Arc<SqliteStore>>,
    /// Removed with all that is in it when the server ends.
    _temporary: Option<TempDir>,
}

/// Why nothing can be kept.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// The data directory cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// There is no place for the files of jobs that are kept in memory.
    #[error("failed to make a temporary directory: {0}")]
    Temporary(io::Error),
}

impl Kept {
    /// Opens the store; what it commits is told to the hub.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub async fn open(keep: Keep, hub: Arc<Hub>) -> Result<Self, KeepError> {
        match keep {
            Keep::Sqlite(options) => {
                let path = options.path.clone();
                let sqlite = Arc::new(SqliteStore::open(options, hub).await?);
                let directory = path.canonicalize().unwrap_or(path);
                Ok(Self { directory, store: Arc::clone(&sqlite) as _, sqlite: Some(sqlite), _temporary: None })
            }
            Keep::Memory(limits) => {
                let temporary = TempDir::with_prefix("raincheck-").map_err(KeepError::Temporary)?;
                let (directory, store) = (temporary.path().to_owned(), Arc::new(MemoryStore::new(limits, hub)));
                Ok(Self { directory, store, sqlite: None, _temporary: Some(temporary) })
            }
        }
    }

    /// Whether jobs survive the process.
    #[must_use]
    pub fn is_durable(&self) -> bool {
        self.sqlite.is_some()
    }

    /// Waits until a write has failed in a way that only a restart can clear up; never ends otherwise.
    pub async fn failed(&self) -> String {
        match &self.sqlite {
            Some(sqlite) => sqlite.failed().await,
            None => std::future::pending().await,
        }
    }
}
