//! How thoroughly to measure.

use std::time::Duration;

use crate::failure::Fallible;

/// How often and how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// How often everything is measured. What is compared is measured in turn, so that what the machine does besides
    /// meets all of it alike; the medians count.
    pub(crate) rounds: usize,
    /// How long a load lasts before it counts.
    pub(crate) warm_up: Duration,
    /// How long a load is measured.
    pub(crate) window: Duration,
    /// What is large (a backlog, a crowd, a directory) is divided by this.
    pub(crate) divisor: usize,
}

impl Plan {
    /// The plan that the flags ask for.
    pub(crate) fn read(flags: &[&str]) -> Fallible<Self> {
        let seconds = Duration::from_secs;
        match flags {
            [] => Ok(Self { rounds: 5, warm_up: seconds(1), window: seconds(4), divisor: 1 }),
            ["--quick"] => Ok(Self { rounds: 1, warm_up: Duration::from_millis(500), window: seconds(2), divisor: 10 }),
            _ => Err(format!("unknown flags: {}; there is --quick", flags.join(" ")).into()),
        }
    }

    /// So many, or fewer for a first look.
    pub(crate) fn scaled(&self, number: usize) -> usize {
        number / self.divisor
    }
}
