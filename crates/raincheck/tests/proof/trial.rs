//! How hard is tried, and by which chances.

use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::StdRng;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// So many rounds, or that many times as many if `RAINCHECK_PROOF_ROUNDS` says so.
pub(crate) fn rounds(usual: usize) -> usize {
    let times = number("RAINCHECK_PROOF_ROUNDS").unwrap_or(1);
    usual * usize::try_from(times).expect("a small number")
}

/// The chances of one part of a test: the same for the same seed.
pub(crate) fn chance(part: u64) -> StdRng {
    let seed = number("RAINCHECK_PROOF_SEED").unwrap_or(1);
    StdRng::seed_from_u64(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ part)
}

/// The time; these tests are about real time.
#[expect(clippy::disallowed_methods, reason = "the promises are about real time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// How long something may take: `usual`, and longer only where the machine is so busy with other things that something
/// `small`, done at the same time, was slow as well.
pub(crate) fn allowed(usual: Duration, small: Duration) -> Duration {
    usual.max(small * 10)
}

/// What `look` finds within the time, looking again and again where there is nothing to wait on.
pub(crate) fn within<T>(limit: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < limit, "not within {limit:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The value below which so many percent of the sorted times lie.
pub(crate) fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)]
}
