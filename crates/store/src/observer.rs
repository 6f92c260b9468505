use raincheck_core::{Event, JobId};

/// One event that became durable.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Whose log it was appended to.
    pub job: JobId,
    /// The event.
    pub event: Event,
    /// Whether it made a delivery to a webhook due.
    pub is_told: bool,
    /// Whether it ended a job with a concurrency key, so that another with the same key may now be ready.
    pub is_turn_over: bool,
}

/// Is told what a store has made durable, so that those who wait for it need not ask.
///
/// Called after the commit and before the callers of the change are answered, in commit order, on a thread of the store:
/// it must return at once and never wait. Telling is a convenience: who misses it finds the same events in the log.
pub trait Observer: Send + Sync + 'static {
    /// These events are now durable. The events of one job come in order.
    fn committed(&self, changes: &[Change]);
}

/// Nobody is told.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Observer for Silent {
    fn committed(&self, _changes: &[Change]) {}
}
