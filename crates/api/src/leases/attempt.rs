use raincheck_core::{Job, JobId, ProblemType, WorkerId};
use raincheck_store::StoreError;

use crate::api::Api;
use crate::auth::{Caller, Worker};
use crate::problem::ApiError;

/// The name under which a caller's worker holds leases. Begins with the key, so that no key can write to the attempts of
/// another's workers.
pub(super) fn worker_id(caller: &Caller<Worker>, name: &str) -> WorkerId {
    WorkerId::new(&format!("{}{name}", prefix(caller)))
}

fn prefix(caller: &Caller<Worker>) -> String {
    format!("remote/{}/", caller.key_id())
}

/// The job, if one of the caller's workers holds a lease on it.
pub(super) async fn leased(api: &Api, caller: &Caller<Worker>, job: JobId) -> Result<Job, ApiError> {
    held(api, caller, job).await?.ok_or_else(lost)
}

/// The same, where a lost lease is an answer and no problem. A store that does not answer says nothing of the lease.
///
/// Fences are small numbers, which are easy to guess: what they protect from is being late, this is what protects from
/// strangers.
pub(super) async fn held(api: &Api, caller: &Caller<Worker>, job: JobId) -> Result<Option<Job>, StoreError> {
    let job = api.engine.get(job, None).await?;
    let is_theirs =
        |job: &Job| job.life.lease.as_ref().is_some_and(|lease| lease.worker.as_str().starts_with(&prefix(caller)));
    Ok(job.filter(is_theirs))
}

/// The same for a lease that lapsed, a job that ended, another worker's and one that never was.
pub(super) fn lost() -> ApiError {
    ApiError::new(
        ProblemType::LEASE_LOST,
        "the lease is lost, or never was; drop the job, nothing you write to it counts",
    )
}
