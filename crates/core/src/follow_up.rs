use serde::{Deserialize, Serialize};

use crate::{JobId, Kind, Problem};

/// A job that another asked for when it completed: what the log of the other says of it.
///
/// In JSON: `{"kind": "…", "job": "job_…"}`, or `{"kind": "…", "error": {…}}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FollowUp {
    /// What sort of work.
    pub kind: Kind,
    /// What became of the wish.
    #[serde(flatten)]
    pub became: Became,
}

/// What became of the wish for a follow-up job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Became {
    /// This job: accepted with it, or known before under the same idempotency key.
    Job(JobId),
    /// Nothing, for this reason: the wish is dropped.
    Error(Problem),
}
