use raincheck_core::{QueueName, Time};
use raincheck_store::ApiKey;

use crate::fault::Fault;
use crate::table::{api_key, paused};
use crate::work::Work;
use crate::writer::Writer;

/// Stops or resumes claiming from a queue.
pub(crate) struct SetPaused {
    pub(crate) queue: QueueName,
    pub(crate) paused: bool,
}

impl Work for SetPaused {
    type Answer = ();

    fn run(&self, writer: &mut Writer<'_>) -> Result<(), Fault> {
        paused::set(writer.tables.connection, &self.queue, self.paused)?;
        writer.memory.set_paused(&self.queue, self.paused);
        Ok(())
    }
}

/// Keeps an API key.
pub(crate) struct AddKey(pub(crate) ApiKey);

impl Work for AddKey {
    type Answer = ();

    fn run(&self, writer: &mut Writer<'_>) -> Result<(), Fault> {
        Ok(api_key::insert(writer.tables.connection, &self.0)?)
    }
}

/// From `now` on an API key is refused.
pub(crate) struct RevokeKey {
    pub(crate) id: String,
    pub(crate) now: Time,
}

impl Work for RevokeKey {
    type Answer = bool;

    fn run(&self, writer: &mut Writer<'_>) -> Result<bool, Fault> {
        Ok(api_key::revoke(writer.tables.connection, &self.id, self.now)?)
    }
}
