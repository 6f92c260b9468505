use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use raincheck_core::{Job, JobId, Tenant};
use raincheck_engine::Engine;
use raincheck_store::StoreError;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::ApiSettings;
use crate::auth::Keyring;
use crate::body::Bodies;
use crate::dialect::Calls;
use crate::metrics::HttpMetrics;
use crate::recipes::Visitors;

/// What all handlers share.
pub(crate) struct Api {
    pub(crate) engine: Engine,
    pub(crate) settings: Arc<ApiSettings>,
    /// Cancelled when streams and waits should end.
    pub(crate) closing: CancellationToken,
    pub(crate) keyring: Keyring,
    pub(crate) bodies: Bodies,
    /// Who came to recipes of late.
    pub(crate) visitors: Visitors,
    pub(crate) metrics: HttpMetrics,
    /// What goes on without the request that began it.
    pub(crate) tasks: TaskTracker,
    /// Calls under way that are passed on for somebody who waits.
    pub(crate) calls: Calls,
    /// The OpenAPI document.
    pub(crate) openapi: Bytes,
}

impl Api {
    /// A job, waited for as long as is asked for and allowed; `None` if there is no such job for the tenant.
    pub(crate) async fn job(
        &self,
        job: JobId,
        tenant: Option<&Tenant>,
        wait: Option<Duration>,
    ) -> Result<Option<Job>, StoreError> {
        let Some(wait) = wait.filter(|wait| !wait.is_zero()) else { return self.engine.get(job, tenant).await };
        // Boxed: few requests wait, and the others should not carry its size.
        let ended = Box::pin(self.engine.wait(job, tenant, wait.min(self.settings.wait_max)));
        tokio::select! {
            job = ended => job,
            () = self.closing.cancelled() => self.engine.get(job, tenant).await,
        }
    }
}
