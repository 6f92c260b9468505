use std::fmt;
use std::sync::Arc;

use raincheck_core::{Json, Progress};
use tokio_util::sync::CancellationToken;

/// Hears what a part of a job says ([`Context::part`](crate::Context::part)), and decides what the whole says of it.
pub trait Listener: Send + Sync + 'static {
    /// How far the whole is, now that the part is so far.
    fn progress(&self, progress: Progress) -> Progress;

    /// What of a piece of the part's output goes to the job's log; nothing if it is not for its followers.
    fn output(&self, output: Json) -> Option<Json>;
}

/// A part of a job.
#[derive(Clone)]
pub(crate) struct Part {
    /// How often it has failed by the count of who has it done, with that of the parts around it.
    pub(crate) failures: u32,
    /// Its name, with those of the parts around it before it.
    pub(crate) name: String,
    pub(crate) listener: Arc<dyn Listener>,
    /// Cancelled when the part is to stop, whatever becomes of the rest of the job.
    pub(crate) halted: CancellationToken,
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Part").field("name", &self.name).finish_non_exhaustive()
    }
}
