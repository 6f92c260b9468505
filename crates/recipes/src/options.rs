use std::time::Duration;

use raincheck_core::{Priority, QueueName};

use crate::Template;
use crate::read::{Entries, Reading};

/// How the jobs of a recipe are run.
#[derive(Debug, Default)]
pub struct JobOptions {
    /// How urgent they are.
    pub priority: Priority,
    /// Where they wait; the recipe's own queue if it does not say.
    pub queue: Option<QueueName>,
    /// How long after they were accepted they are given up.
    pub deadline: Option<Duration>,
    /// The longest that one attempt may take.
    pub timeout: Option<Duration>,
    /// How often they may fail.
    pub max_attempts: Option<u32>,
    /// How long they stay readable.
    pub retention: Option<Duration>,
    /// By what a request that is sent again is known.
    pub idempotency_key: Option<Template>,
}

impl JobOptions {
    pub(crate) fn read<'t>(mut entries: Entries<'t>, reading: &mut Reading<'t>) -> Self {
        let mut options = Self::default();
        if let Some(text) = entries.text("priority", reading) {
            match text.get_ref().parse() {
                Ok(priority) => options.priority = priority,
                Err(error) => reading.complain(text.span(), format!("`priority`: {error}"), None),
            }
        }
        if let Some(text) = entries.text("queue", reading) {
            match text.get_ref().parse() {
                Ok(queue) => options.queue = Some(queue),
                Err(error) => reading.complain(text.span(), format!("`queue`: {error}"), None),
            }
        }
        options.deadline = entries.duration("deadline", reading);
        options.timeout = entries.duration("timeout", reading);
        options.max_attempts =
            entries.number("max_attempts", 1..=100, reading).and_then(|number| u32::try_from(number).ok());
        options.retention = entries.duration("retention", reading);
        options.idempotency_key = entries.template("idempotency_key", reading);
        entries.finish(reading);
        options
    }
}
