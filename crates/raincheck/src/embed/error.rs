use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use raincheck_core::{JobId, Problem};
use raincheck_store::StoreError;

use crate::wiring::KeepError;

/// Why nothing was started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The data directory cannot be opened: another process uses it, a newer version wrote it, it may not be written.
    #[error(transparent)]
    Keep(#[from] KeepError),
    /// Files cannot be kept in the data directory.
    #[error("{directory} cannot be used: {source}")]
    Files {
        /// The data directory.
        directory: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The store cannot be written.
    #[error("the engine cannot start: {0}")]
    Store(#[from] StoreError),
}

/// Why nothing is served any more.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Address {
        /// The address.
        address: String,
        /// What the system said.
        source: io::Error,
    },
    /// Others reach the address, and without a key they could run jobs on it. `raincheck key create` makes one.
    #[error(
        "refusing to listen on {0} without an API key: anybody who reaches it could run jobs; make a key with `raincheck key \
         create`"
    )]
    Unsafe(SocketAddr),
    /// A write failed, and whether it is stored is unknown. The program should end: only a new start can tell.
    #[error("a write to the data directory failed, and whether it is stored is unknown: {0}")]
    StoreFailed(String),
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The listener failed.
    #[error("serving ended: {0}")]
    Io(#[from] io::Error),
}

/// Why a job has no result to give.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JobError {
    /// It failed, with this problem.
    #[error("{0}")]
    Failed(Problem),
    /// Somebody cancelled it, and may have said why. Of a job that ran, the reason stands in its log, in `cancel_requested`.
    #[error("the job was cancelled{}", .0.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default())]
    Cancelled(Option<String>),
    /// Its deadline passed first.
    #[error("the job's deadline passed")]
    Expired,
    /// It is not there: it was forgotten or deleted, or never was.
    #[error("there is no such job, or it has been forgotten")]
    Forgotten,
    /// It has a result, which is none of the type that was asked for.
    #[error("the result is of another type: {0}")]
    OtherType(serde_json::Error),
    /// It has not ended, and nobody can wait for that here: Raincheck has stopped. The job goes on at the next start.
    #[error("the job {0} has not ended, and Raincheck has stopped; it goes on at the next start")]
    Stopped(JobId),
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}
