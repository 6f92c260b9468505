use std::sync::Arc;
use std::time::Duration;

use raincheck_core::Time;
use raincheck_core::gate::{Bearing, Sign, Spell};
use tokio::time::Instant;

use super::{Gate, Try};
use crate::spent::Spent;
use crate::{Setback, Usage};

/// How a call ended, as its gate wants to know it.
#[derive(Clone, Debug)]
pub(crate) struct End {
    pub(crate) sign: Sign,
    pub(crate) throttled: bool,
    /// The upstream's limit is reached: nobody should come before it is reset.
    pub(crate) is_429: bool,
    pub(crate) retry_after: Option<Duration>,
    /// How long the first byte of an answer took that was streamed.
    pub(crate) first_byte: Option<Duration>,
    pub(crate) usage: Option<Usage>,
    /// What went wrong, if something did.
    pub(crate) setback: Option<Setback>,
}

impl End {
    /// It says nothing of the upstream.
    pub(crate) const GONE: Self = Self {
        sign: Sign::None,
        throttled: false,
        is_429: false,
        retry_after: None,
        first_byte: None,
        usage: None,
        setback: None,
    };

    /// What it says of how much the upstream bears.
    pub(super) fn bearing(&self) -> Bearing {
        match (self.throttled, self.sign, self.first_byte) {
            (true, ..) => Bearing::TooMuch,
            (false, Sign::Good, Some(took)) => Bearing::Begun(took),
            (false, Sign::Good, None) => Bearing::Good,
            (false, ..) => Bearing::Unknown,
        }
    }
}

/// The right to make one call. Given back when it is dropped.
pub struct Permit {
    pub(super) gate: Arc<Gate>,
    /// What it takes of the limit of tokens, if there is one.
    pub(super) spent: Option<Spent>,
    /// The breaker's, in which it was let through.
    pub(super) spell: Spell,
    /// It alone asks whether the upstream takes calls again after it said that it was too much.
    pub(super) asks: bool,
    pub(super) of_try: Try,
    /// By the gate's time.
    pub(super) entered: Time,
    pub(super) began: Instant,
    pub(super) is_settled: bool,
}

impl Permit {
    /// The answer has begun, and is none that refuses.
    pub fn begun(&mut self) {
        Arc::clone(&self.gate).begun(self);
    }

    /// The call has ended.
    pub(crate) fn settle(mut self, end: &End) {
        self.is_settled = true;
        self.gate.leave(&self, end, self.gate.dice());
    }

    /// What it was for has ended well, in more than one call: see [`Route::send_aside`](crate::Route::send_aside).
    pub fn end(self, usage: Option<Usage>) {
        let end = End { sign: Sign::Good, usage, ..End::GONE };
        self.settle(&end);
    }

    /// What it was for has failed, in more than one call.
    pub fn fail(self, failure: &crate::CallFailure) {
        self.settle(&failure.end());
    }

    /// Whether tokens are limited, and it is worth looking how many come.
    pub(crate) fn counts_tokens(&self) -> bool {
        self.spent.is_some()
    }

    /// So many tokens of the answer have come. What was not reserved is taken as it comes: an answer may take many minutes, and
    /// nobody else should count on what it uses.
    pub(crate) fn spend(&mut self, written: u64) {
        let Some(spent) = self.spent.as_mut().filter(|spent| spent.is_exceeded_by(written)) else { return };
        let now = self.gate.now();
        self.gate.state().spend(spent, written, now);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if !self.is_settled {
            self.gate.leave(self, &End::GONE, self.gate.dice());
        }
    }
}
