use std::io;
use std::sync::Arc;
use std::time::Duration;

use raincheck_blob::Blobs;
use raincheck_core::JobId;
use raincheck_engine::{Clock, SystemClock};
use raincheck_kinds::JobFiles;
use raincheck_store::Store;

/// How often it is looked for files of forgotten jobs, and for those whose time has passed.
const INTERVAL: Duration = Duration::from_secs(600);

/// Removes the files of jobs that the store has forgotten, and uploaded ones whose time has passed, again and again.
pub async fn remove_forgotten(files: &JobFiles, blobs: &Blobs, store: &Arc<dyn Store>) {
    let mut tick = tokio::time::interval(INTERVAL);
    loop {
        tick.tick().await;
        if let Err(error) = sweep(files, store).await {
            tracing::warn!(%error, "failed to remove the files of forgotten jobs");
        }
        blobs.remove_expired(SystemClock.now()).await;
    }
}

async fn sweep(files: &JobFiles, store: &Arc<dyn Store>) -> io::Result<()> {
    let here = files.clone();
    for job in aside(move || here.jobs()).await? {
        if let Ok(None) = store.get(job, None).await {
            // One that cannot be removed does not keep the others.
            if let Err(error) = remove(files, job).await {
                tracing::warn!(%job, %error, "failed to remove the files of a forgotten job");
            }
        }
    }
    Ok(())
}

async fn remove(files: &JobFiles, job: JobId) -> io::Result<()> {
    let files = files.clone();
    aside(move || files.remove(job)).await
}

/// Runs what blocks on a thread of its own.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    #[expect(clippy::disallowed_methods, reason = "ends within milliseconds; leaving it unfinished costs nothing")]
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}
