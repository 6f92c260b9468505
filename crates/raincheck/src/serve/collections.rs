use raincheck_kinds::{CollectionError, Collections};

use crate::config::Config;
use crate::exit::{Exit, Failure};

/// The collections of the configuration, indexed.
///
/// # Errors
/// If one cannot be read.
pub(super) async fn open(config: &Config) -> Result<Collections, Failure> {
    let folders = config.collections.clone();
    let opened = aside(move || Collections::open(folders)).await;
    let collections = opened.map_err(|error| Failure::new(Exit::Usage, error))?;
    if !collections.names().is_empty() {
        tracing::info!(collections = collections.names().len(), passages = collections.passages(), "indexed the texts");
    }
    Ok(collections)
}

/// Indexes the texts anew: those of every collection, or none.
pub(super) async fn reload(collections: &Collections) {
    if collections.names().is_empty() {
        return;
    }
    let fresh = collections.clone();
    match aside(move || fresh.reload()).await {
        Ok(()) => tracing::info!(passages = collections.passages(), "indexed the texts anew"),
        Err(error) => tracing::error!("the collections stay as they were: {error}"),
    }
}

/// Indexes on a thread of its own.
async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, CollectionError> + Send + 'static,
) -> Result<T, String> {
    #[expect(
        clippy::disallowed_methods,
        reason = "bounded by the limits of collections; leaving it unfinished costs nothing"
    )]
    let worked = tokio::task::spawn_blocking(work).await;
    worked.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
}
