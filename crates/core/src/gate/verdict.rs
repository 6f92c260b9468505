use super::Sign;

/// How a call to an upstream went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault<'a> {
    /// Nobody was reached: no address, no connection, no TLS.
    Connect,
    /// The first byte of the answer did not come in time.
    FirstByte,
    /// The answer stopped coming.
    Stalled,
    /// The connection broke off before the answer was whole.
    CutOff,
    /// The answer is not what the protocol says.
    Malformed,
    /// The whole call took longer than it may.
    TooLong,
    /// An answer with an error status.
    Status {
        /// The status.
        status: u16,
        /// What the upstream calls the error, in the words of its protocol: `code` or `type`.
        code: Option<&'a str>,
    },
    /// The caller went away, or the job was told to stop.
    Cancelled,
}

/// What follows from a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What it says of the upstream.
    pub sign: Sign,
    /// Whether the upstream said that it was too much at once.
    pub throttled: bool,
    /// What becomes of the call.
    pub then: Then,
    /// Whether the upstream may have done the work all the same: it was sent, and no answer came.
    pub is_ambiguous: bool,
}

/// What becomes of a call that went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// It may go better after a while.
    Retry,
    /// It will go better once the upstream's limit has room again, and costs the job nothing.
    Wait,
    /// It would fail again, wherever it is made: the request itself is wrong.
    Never,
    /// It would fail again here, but perhaps not at another upstream.
    Elsewhere,
    /// Every call would fail until somebody does something about it.
    Blocked(Block),
}

/// What keeps an upstream from taking any call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block {
    /// The account has no credit.
    Billing,
    /// The key is not accepted.
    Credential,
}

/// Errors of a status that is worth a retry, or of 429, which no retry mends: an empty account, or content that is refused.
const BILLING: [&str; 6] = [
    "insufficient_quota",
    "billing_hard_limit_reached",
    "billing_not_active",
    "billing_error",
    "credit_balance_too_low",
    "payment_required",
];
const CONTENT: [&str; 4] = ["content_policy_violation", "content_filter", "invalid_prompt", "moderation_blocked"];

impl Fault<'_> {
    /// What happened, in a few words.
    #[must_use]
    pub fn told(&self) -> &'static str {
        match self {
            Self::Connect => "it was not reached",
            Self::FirstByte => "it did not answer in time",
            Self::Stalled => "its answer stopped coming",
            Self::CutOff => "the connection broke off",
            Self::Malformed => "its answer was not what its protocol says",
            Self::TooLong => "the call took longer than it may",
            Self::Cancelled => "the caller went away",
            Self::Status { .. } => match self.verdict() {
                Verdict { then: Then::Blocked(Block::Billing), .. } => "its account has no credit",
                Verdict { then: Then::Blocked(Block::Credential), .. } => "it does not accept the key",
                Verdict { then: Then::Wait, .. } => "it said that it was too much",
                Verdict { then: Then::Retry, .. } => "it failed",
                Verdict { then: Then::Never | Then::Elsewhere, .. } => "it refused the request",
            },
        }
    }

    /// The one table of what a fault means; docs/upstreams.md shows it.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let of = |sign, throttled, then, is_ambiguous| Verdict { sign, throttled, then, is_ambiguous };
        match *self {
            Self::Connect => of(Sign::Unreached, false, Then::Retry, false),
            Self::FirstByte | Self::Stalled | Self::CutOff | Self::Malformed | Self::TooLong => {
                of(Sign::Bad, false, Then::Retry, true)
            }
            Self::Cancelled => of(Sign::None, false, Then::Never, true),
            Self::Status { code: Some(code), .. } if BILLING.contains(&code) => {
                of(Sign::None, false, Then::Blocked(Block::Billing), false)
            }
            Self::Status { code: Some(code), .. } if CONTENT.contains(&code) => {
                of(Sign::Good, false, Then::Elsewhere, false)
            }
            Self::Status { status, .. } => match status {
                402 => of(Sign::None, false, Then::Blocked(Block::Billing), false),
                401 | 403 => of(Sign::None, false, Then::Blocked(Block::Credential), false),
                429 => of(Sign::None, true, Then::Wait, false),
                408 | 409 => of(Sign::None, false, Then::Retry, false),
                503 | 529 => of(Sign::Bad, true, Then::Retry, false),
                500..=599 => of(Sign::Bad, false, Then::Retry, false),
                // It works: it has read the request and knows what is wrong with it.
                400 | 413 | 414 | 415 | 422 => of(Sign::Good, false, Then::Never, false),
                _ => of(Sign::Good, false, Then::Elsewhere, false),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(status: u16, code: Option<&str>) -> Verdict {
        Fault::Status { status, code }.verdict()
    }

    #[test]
    fn what_never_reached_or_never_answered_is_tried_again() {
        assert_eq!((Fault::Connect.verdict().sign, Fault::Connect.verdict().then), (Sign::Unreached, Then::Retry));
        for fault in [Fault::FirstByte, Fault::Stalled, Fault::CutOff, Fault::Malformed, Fault::TooLong] {
            let verdict = fault.verdict();
            assert_eq!((verdict.sign, verdict.then, verdict.is_ambiguous), (Sign::Bad, Then::Retry, true), "{fault:?}");
        }
    }

    #[test]
    fn each_status_has_its_row() {
        for code in [500, 502, 504, 520, 599] {
            assert_eq!((status(code, None).sign, status(code, None).then), (Sign::Bad, Then::Retry), "{code}");
        }
        for code in [503, 529] {
            assert_eq!((status(code, None).throttled, status(code, None).then), (true, Then::Retry), "{code}");
        }
        for code in [408, 409] {
            assert_eq!((status(code, None).sign, status(code, None).then), (Sign::None, Then::Retry), "{code}");
        }
        for code in [400, 413, 422] {
            assert_eq!((status(code, None).sign, status(code, None).then), (Sign::Good, Then::Never), "{code}");
        }
        for code in [404, 405, 410, 451] {
            assert_eq!((status(code, None).sign, status(code, None).then), (Sign::Good, Then::Elsewhere), "{code}");
        }
        for code in [401, 403] {
            assert_eq!(status(code, None).then, Then::Blocked(Block::Credential), "{code}");
        }
    }

    #[test]
    fn too_many_requests_throttle_and_an_empty_account_blocks() {
        let throttled = status(429, Some("rate_limit_exceeded"));
        assert_eq!((throttled.sign, throttled.throttled, throttled.then), (Sign::None, true, Then::Wait));
        for verdict in [status(429, Some("insufficient_quota")), status(402, None), status(400, Some("billing_error"))]
        {
            assert_eq!((verdict.throttled, verdict.then), (false, Then::Blocked(Block::Billing)));
        }
        assert_eq!(status(400, Some("content_policy_violation")).then, Then::Elsewhere);
    }

    #[test]
    fn who_went_away_says_nothing_of_the_upstream() {
        assert_eq!((Fault::Cancelled.verdict().sign, Fault::Cancelled.verdict().then), (Sign::None, Then::Never));
    }
}
