use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use raincheck_store::StoreError;

/// What waits for the writer, and how fast that gets less.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    calls: AtomicUsize,
    bytes: AtomicUsize,
    /// How long a call has been taking, in nanoseconds: a moving average over the batches.
    nanos_per_call: AtomicU64,
}

impl Backlog {
    /// A call is on its way to the writer; gives how many bytes waited before it.
    pub(crate) fn add(&self, bytes: usize) -> usize {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed)
    }

    /// Calls are done, or were not taken.
    pub(crate) fn remove(&self, calls: usize, bytes: usize) {
        self.calls.fetch_sub(calls, Ordering::Relaxed);
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// How many calls wait.
    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }

    /// Learns what a batch took. Called by the writer alone.
    pub(crate) fn observe(&self, calls: usize, took: Duration) {
        let calls = u64::try_from(calls.max(1)).unwrap_or(u64::MAX);
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX) / calls;
        let before = self.nanos_per_call.load(Ordering::Relaxed);
        let average = if before == 0 { nanos } else { before - before / 8 + nanos / 8 };
        self.nanos_per_call.store(average, Ordering::Relaxed);
    }

    /// No more is taken until what waits is done with, at the rate of the last batches.
    pub(crate) fn overloaded(&self) -> StoreError {
        let calls = u64::try_from(self.calls()).unwrap_or(u64::MAX);
        let wait = self.nanos_per_call.load(Ordering::Relaxed).saturating_mul(calls);
        StoreError::Overloaded(Duration::from_nanos(wait))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_is_what_the_backlog_takes() {
        let backlog = Backlog::default();
        let before: usize = (0..3_000).map(|_| backlog.add(100)).sum();
        assert_eq!(before, (0..3_000).map(|call| call * 100).sum::<usize>());
        (0..100).for_each(|_| backlog.observe(10, Duration::from_millis(10)));
        assert_eq!(backlog.overloaded(), StoreError::Overloaded(Duration::from_secs(3)));
        backlog.remove(3_000, 300_000);
        assert_eq!((backlog.calls(), backlog.add(0)), (0, 0));
    }
}
