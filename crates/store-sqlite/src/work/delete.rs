use raincheck_core::{JobId, JobKey, State, Tenant};

use crate::fault::Fault;
use crate::work::Work;
use crate::writer::Writer;

/// Forgets a job that has ended.
pub(crate) struct Delete {
    pub(crate) job: JobId,
    pub(crate) tenant: Option<Tenant>,
}

impl Work for Delete {
    type Answer = Option<Result<(), State>>;

    fn run(&self, writer: &mut Writer<'_>) -> Result<Self::Answer, Fault> {
        if !writer.exists(self.job, self.tenant.as_ref())? {
            return Ok(None);
        }
        let key = self.job.key();
        if let Some(job) = writer.tables.live.get(key, false)? {
            return Ok(Some(Err(job.stored.life.state)));
        }
        writer.forget(key)?;
        Ok(Some(Ok(())))
    }
}

impl Writer<'_> {
    /// Removes a job that has ended, with all that belongs to it.
    pub(crate) fn forget(&mut self, key: JobKey) -> Result<(), Fault> {
        if let Some(idempotency) = self.tables.idempotency.remove(key)? {
            self.memory.forget(idempotency, key);
        }
        self.tables.finished.delete(key)?;
        self.tables.event.delete(key)?;
        self.tables.delivery.delete(key)?;
        self.tables.accepted.delete(key)?;
        Ok(())
    }
}
