use std::sync::Arc;

use raincheck::wiring::{Keep, KeepError, Kept};
use raincheck_engine::Hub;
use raincheck_store_sqlite::OpenError;

use crate::config::{Config, StoreKind};
use crate::exit::{Exit, Failure};

/// Opens the store that the configuration names; what it commits is told to the hub.
///
/// # Errors
/// If it cannot be opened.
pub(crate) async fn open(config: &Config, hub: Arc<Hub>) -> Result<Kept, Failure> {
    let keep = match config.store.kind {
        StoreKind::Sqlite => Keep::Sqlite(config.store.options(&config.server, &config.limits)),
        StoreKind::Memory => Keep::Memory(config.limits.of_store()),
    };
    Kept::open(keep, hub).await.map_err(|error| match error {
        KeepError::Open(error) => not_opened(&error),
        KeepError::Temporary(_) => Failure::new(Exit::DataDirectory, error.to_string()),
    })
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
