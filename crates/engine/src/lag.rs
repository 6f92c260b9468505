use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How often it is measured.
const INTERVAL: Duration = Duration::from_millis(100);
/// How many measurements are looked back on: 10 seconds.
const KEPT: usize = 100;

/// Measures how long tasks wait for a thread of the runtime: what every request would wait too, if something blocked the
/// runtime's threads.
#[derive(Debug, Default)]
pub(crate) struct Lag(Mutex<Measured>);

#[derive(Debug, Default)]
struct Measured {
    kept: Vec<Duration>,
    next: usize,
}

impl Lag {
    pub(crate) async fn run(&self) {
        loop {
            let due = Instant::now() + INTERVAL;
            tokio::time::sleep_until(due).await;
            self.add(Instant::now().duration_since(due));
        }
    }

    fn add(&self, lag: Duration) {
        let mut measured = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let next = measured.next;
        if measured.kept.len() < KEPT {
            measured.kept.push(lag);
        } else {
            measured.kept[next] = lag;
        }
        measured.next = (next + 1) % KEPT;
    }

    pub(crate) fn longest(&self) -> Duration {
        let measured = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        measured.kept.iter().max().copied().unwrap_or_default()
    }
}
