use raincheck_core::{Command, JobKey, Time, WorkerId};
use raincheck_store::Swept;

use crate::fault::Fault;
use crate::work::Work;
use crate::writer::Writer;

/// Does what is due.
pub(crate) struct Sweep {
    pub(crate) max: usize,
    pub(crate) now: Time,
}

impl Work for Sweep {
    type Answer = Swept;

    fn run(&self, writer: &mut Writer<'_>) -> Result<Swept, Fault> {
        let Self { max, now } = *self;
        let lapsed = writer.memory.lapsed(max, now);
        let expired = writer.memory.expired(max, now);
        let forgotten = writer.tables.finished.due(now, max)?;
        if let Some(newest) = writer.memory.idempotency.expire(now) {
            writer.tables.idempotency.expire(newest)?;
        }
        writer.command_all(&lapsed, &Command::Lapse, now)?;
        writer.command_all(&expired, &Command::Expire, now)?;
        for key in &forgotten {
            writer.forget(*key)?;
        }
        let (lapsed, expired, forgotten) = (lapsed.len(), expired.len(), forgotten.len());
        Ok(Swept { lapsed, expired, forgotten, more: lapsed.max(expired).max(forgotten) >= max })
    }
}

/// The leases of a dead worker lapse.
pub(crate) struct WorkerDied {
    pub(crate) worker: WorkerId,
    pub(crate) now: Time,
}

impl Work for WorkerDied {
    type Answer = usize;

    fn run(&self, writer: &mut Writer<'_>) -> Result<usize, Fault> {
        writer.tables.delivery.worker_died(&self.worker, self.now)?;
        let held = writer.memory.held_by(&self.worker);
        writer.command_all(&held, &Command::WorkerDied, self.now)
    }
}

impl Writer<'_> {
    /// Gives each of these jobs the command; how many took it.
    fn command_all(&mut self, jobs: &[JobKey], command: &Command, now: Time) -> Result<usize, Fault> {
        let mut taken = 0;
        for key in jobs {
            taken += usize::from(self.command_by_key(*key, None, command.clone(), now)?.is_ok());
        }
        Ok(taken)
    }
}
