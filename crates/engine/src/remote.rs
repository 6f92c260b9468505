use std::pin::pin;
use std::time::Duration;

use raincheck_core::{Ending, Fence, JobId, Kind, Life, Refusal, Want, WorkerId};
use raincheck_store::{Besides, ClaimRequest, Claimed, Claims, Finish, StoreError};

use crate::Engine;

/// How long to wait for a wake-up before looking all the same: for jobs whose time comes.
const LOOK_AFTER: Duration = Duration::from_secs(1);
/// The least time between two looks, so that a stream of other people's jobs does not make a waiting worker look all the
/// time.
const LOOK_NOT_BEFORE: Duration = Duration::from_millis(10);

/// What workers in other processes do. The engine neither starts nor watches their attempts: a lease that is not renewed
/// lapses like any other.
impl Engine {
    /// Leases jobs to a worker; if there are none, waits for some until `until` completes. None while the engine drains.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub async fn lease(
        &self,
        worker: &WorkerId,
        wants: &[Want],
        lease: Duration,
        until: impl Future<Output = ()>,
    ) -> Result<Claims, StoreError> {
        let parts = &self.0;
        let (mut until, mut over) = (pin!(until), false);
        while !parts.is_draining() {
            // Listens first and looks then, so that nothing comes unseen in between.
            let arrived = parts.hub.work_arrived();
            let request = ClaimRequest { worker: worker.clone(), wants: wants.to_vec(), max: usize::MAX, lease };
            let claims = parts.store.claim(request, parts.clock.now()).await?;
            if over || !claims.jobs.is_empty() {
                for Claimed { job, .. } in &claims.jobs {
                    parts.stats.started(&job.spec.kind);
                    parts.tell(job);
                }
                return Ok(claims);
            }
            tokio::select! {
                biased;
                () = until.as_mut() => over = true,
                _ = tokio::time::timeout(LOOK_AFTER, arrived) => tokio::time::sleep(LOOK_NOT_BEFORE).await,
            }
        }
        Ok(Claims::default())
    }

    /// Ends an attempt of another process; gives what became of the job.
    ///
    /// # Errors
    /// If the store cannot be written. Whether the attempt still held its lease is the inner result.
    pub async fn settle(
        &self,
        job: JobId,
        kind: &Kind,
        fence: Fence,
        ending: Ending,
    ) -> Result<Result<Life, Refusal>, StoreError> {
        let parts = &self.0;
        let finish =
            Finish { job, fence, notes: Vec::new(), ending, dice: parts.chance.dice(), besides: Besides::default() };
        let settled = parts.store.finish(vec![finish], parts.clock.now()).await?.pop();
        let settled = settled.unwrap_or(Err(Refusal::LeaseLost));
        if let Ok(life) = &settled {
            // How long it took is known to the worker alone.
            parts.stats.ended(kind, life.state, Duration::ZERO);
        }
        Ok(settled)
    }
}
