//! Why a scan as a whole ends without a result. What is wrong with single files is an [`crate::Issue`] instead.

use crate::summary::Summary;
use std::io;
use std::path::PathBuf;

/// Why a scan as a whole ends without a result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScanError {
    /// The directory could not be opened.
    #[error("failed to open the directory: {0}")]
    Root(#[source] io::Error),
    /// The directory disappeared or was exchanged during the scan. What was read before is kept in `<manifest>.partial`.
    #[error("the directory disappeared during the scan")]
    RootVanished {
        /// What was found until then.
        partial: Box<Summary>,
    },
    /// The caller stopped the scan. The rows so far are kept in `<manifest>.partial`, from which the next scan continues.
    #[error("the scan was cancelled")]
    Cancelled {
        /// What was found until then.
        partial: Box<Summary>,
    },
    /// Another scan writes to the same manifest.
    #[error("another scan is writing to {}", .0.display())]
    Busy(PathBuf),
    /// The manifest could not be written.
    #[error("failed to write {}: {source}", .path.display())]
    Manifest {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The earlier manifest is there but could not be read.
    #[error("failed to read {}: {source}", .path.display())]
    Previous {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// An export could not be written; the manifest is complete.
    #[error("failed to write {}: {source}", .path.display())]
    Export {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A thread could not be started.
    #[error("failed to start a thread: {0}")]
    Thread(#[source] io::Error),
}
