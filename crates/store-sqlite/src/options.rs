use std::path::PathBuf;

use raincheck_store::Limits;

/// Where a store keeps its data, and how much it takes.
#[derive(Clone, Debug)]
pub struct Options {
    /// The data directory; made if it is missing.
    pub path: PathBuf,
    /// How many jobs and idempotency keys it takes.
    pub limits: Limits,
    /// How many calls may wait to be committed; one more is refused as overload.
    pub commit_queue: usize,
    /// How many bytes of input, results and events these calls may hold.
    pub commit_queue_bytes: usize,
    /// With fewer bytes free on the file system new jobs are refused, so that those which run can still finish.
    pub free_space_min: u64,
    /// How many threads read, besides the one for lists. Each has a connection of its own.
    pub readers: usize,
    /// Accepts jobs without writing them: all but the database is done, so that a benchmark can tell what that costs.
    /// Such jobs are lost, and cannot be claimed or read. No configuration sets it.
    #[doc(hidden)]
    pub uncommitted: bool,
}

impl Options {
    /// The defaults, in this directory.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            limits: Limits::default(),
            commit_queue: 4_096,
            commit_queue_bytes: 64 << 20,
            free_space_min: 64 << 20,
            readers: 2,
            uncommitted: false,
        }
    }
}
