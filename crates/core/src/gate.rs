//! The rules by which calls to a slow upstream are let through: how much in a minute, how many at once, whether at all, and
//! what an answer means for the next call. Pure, like all of this crate: time and chance are arguments.

mod breaker;
mod budget;
mod concurrency;
mod verdict;
mod window;

pub use breaker::{Breaker, BreakerState, Sign, Spell};
pub use budget::RetryBudget;
pub use concurrency::{Bearing, Concurrency, ConcurrencyLimit};
pub use verdict::{Block, Fault, Then, Verdict};
pub use window::{Reservation, Window};
