use raincheck_core::{Command, Refusal, Time};
use raincheck_store::{Cancel, Cancelled};

use crate::fault::Fault;
use crate::work::Work;
use crate::writer::Writer;

/// Cancels jobs.
pub(crate) struct CancelJobs {
    pub(crate) cancels: Vec<Cancel>,
    pub(crate) now: Time,
}

impl Work for CancelJobs {
    type Answer = Vec<Cancelled>;

    fn run(&self, writer: &mut Writer<'_>) -> Result<Vec<Cancelled>, Fault> {
        self.cancels.iter().map(|cancel| writer.cancel(cancel, self.now)).collect()
    }

    fn bytes(&self) -> usize {
        self.cancels.iter().map(|cancel| 256 + cancel.reason.as_ref().map_or(0, String::len)).sum()
    }
}

impl Writer<'_> {
    fn cancel(&mut self, cancel: &Cancel, now: Time) -> Result<Cancelled, Fault> {
        if !self.exists(cancel.job, cancel.tenant.as_ref())? {
            return Ok(Cancelled::Unknown);
        }
        let command = Command::Cancel { reason: cancel.reason.clone() };
        Ok(match self.command(cancel.job, command, now)? {
            Ok(life) => Cancelled::Done(life),
            Err(Refusal::Finished(state)) => Cancelled::Finished(state),
            Err(_) => Cancelled::Unknown,
        })
    }
}
