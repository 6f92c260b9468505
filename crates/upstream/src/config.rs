use std::time::Duration;

use hyper::Uri;
use raincheck_core::gate::ConcurrencyLimit;

use crate::{Prices, Protocol, Secret};

/// How an upstream is called. What is not said is what suits a hosted language model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamConfig {
    /// What it speaks.
    pub protocol: Protocol,
    /// Where it is; paths of the protocol are appended.
    pub base_url: Uri,
    /// The key that is sent to it.
    pub api_key: Option<Secret>,
    /// Send the caller's own key instead, on calls that are passed through.
    pub pass_through_key: bool,
    /// Only these models are called here; all, if there are none.
    pub models: Vec<String>,
    /// Calls at once, for each model.
    pub concurrency: ConcurrencyLimit,
    /// Requests in any minute, for each model.
    pub requests_per_minute: Option<u64>,
    /// Tokens in any minute, for each model.
    pub tokens_per_minute: Option<u64>,
    /// How long it may take.
    pub patience: Patience,
    /// What is called instead while this one is closed, or if it refuses for good: `upstream` or `upstream:model`, in order.
    pub fallback: Vec<String>,
    /// The header in which it takes a key by which it recognises a call that is made again.
    pub idempotency_header: Option<String>,
    /// It has OpenAI's background mode: a call can be found again by its id after a restart.
    pub native_background: bool,
    /// What becomes of a call that was sent and not answered.
    pub on_ambiguous: OnAmbiguous,
    /// What its tokens cost, if that is to be told with each job.
    pub prices: Option<Prices>,
    /// How long it is asked to keep files that are uploaded to it; until they are deleted if left out.
    pub files_expire_after: Option<Duration>,
}

/// How long a call may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Until a connection is made.
    pub connect: Duration,
    /// Until the answer begins.
    pub first_byte: Duration,
    /// Between two pieces of the answer.
    pub gap: Duration,
    /// In all.
    pub total: Duration,
}

impl Default for Patience {
    /// A call of a quarter of an hour passes, also one that says nothing until its end.
    fn default() -> Self {
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        Self { connect: Duration::from_secs(5), first_byte: minutes(20), gap: minutes(5), total: minutes(20) }
    }
}

/// What becomes of a call that was sent and not answered, so that nobody knows whether the upstream did it and will charge for
/// it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnAmbiguous {
    /// It is made again: the job ends, and may be paid for twice.
    #[default]
    Retry,
    /// The job fails: it is paid for once at most, and somebody has to look.
    Fail,
}

impl UpstreamConfig {
    /// An upstream with the usual settings.
    #[must_use]
    pub fn new(protocol: Protocol, base_url: Uri) -> Self {
        Self {
            protocol,
            base_url,
            api_key: None,
            pass_through_key: false,
            models: Vec::new(),
            concurrency: ConcurrencyLimit::Adaptive { max: 256 },
            requests_per_minute: None,
            tokens_per_minute: None,
            patience: Patience::default(),
            fallback: Vec::new(),
            idempotency_header: Some("idempotency-key".to_owned()),
            native_background: false,
            on_ambiguous: OnAmbiguous::default(),
            prices: None,
            files_expire_after: Some(Duration::from_secs(7 * 24 * 3_600)),
        }
    }
}
