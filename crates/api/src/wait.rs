//! Waits as `Retry-After` tells them.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// A wait in seconds, none of it left out.
pub(crate) fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

/// A wait in whole seconds, at least one, a quarter longer or shorter, so that those who were turned away together do not
/// come back together. Walks evenly through that range instead of rolling dice, which spreads better.
pub(crate) fn spread(wait: Duration) -> u64 {
    /// 2^32 divided by the golden ratio: its multiples fall evenly.
    const STEP: u32 = 0x9E37_79B9;
    static TURN: AtomicU32 = AtomicU32::new(0);
    let turn = f64::from(TURN.fetch_add(STEP, Ordering::Relaxed)) / f64::from(u32::MAX);
    let seconds = wait.mul_f64(0.75 + turn / 2.0).as_secs_f64().ceil().max(1.0);
    Duration::from_secs_f64(seconds).as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_spread_by_a_quarter_either_way() {
        let waits: Vec<u64> = (0..100).map(|_| spread(Duration::from_secs(100))).collect();
        assert!(waits.iter().all(|wait| (75..=126).contains(wait)), "{waits:?}");
        assert!(waits.iter().max() > waits.iter().min().map(|least| least + 40).as_ref(), "{waits:?}");
        assert_eq!(spread(Duration::ZERO), 1);
    }
}
