//! What a load came to.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;
use tokio::time::Instant;

use crate::failure::Fallible;

/// Makes the bytes of the next request. Given how many were made before, for what must differ.
pub(crate) type Requests = Arc<dyn Fn(u64, &mut Vec<u8>) + Send + Sync>;

/// The same request every time.
pub(crate) fn always(request: Vec<u8>) -> Requests {
    Arc::new(move |_, bytes| {
        if bytes.is_empty() {
            bytes.extend_from_slice(&request);
        }
    })
}

/// Which requests count: those answered, or where there is a schedule those due, from `from` on and before `to`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub(crate) begun: Instant,
    pub(crate) from: Instant,
    pub(crate) to: Instant,
}

impl Window {
    /// One that begins now.
    pub(crate) fn new(warm_up: Duration, length: Duration) -> Self {
        let begun = Instant::now();
        Self { begun, from: begun + warm_up, to: begun + warm_up + length }
    }

    pub(crate) fn length(&self) -> Duration {
        self.to - self.from
    }
}

/// Answers, counted while they come in.
#[derive(Clone)]
pub(crate) struct Tally {
    counted: Arc<Mutex<Counted>>,
    /// Which of them count.
    pub(crate) window: Window,
}

/// Answers that were counted.
#[derive(Clone, Debug)]
pub(crate) struct Counted {
    /// Which of them count.
    pub(crate) window: Window,
    /// How long these took, in microseconds.
    pub(crate) took: Histogram<u64>,
    /// How many of them, before the window, in it and after it, had the status that was wanted.
    pub(crate) good: u64,
    /// How many had another.
    pub(crate) bad: u64,
    /// The first of these.
    pub(crate) complaint: Option<String>,
}

impl Tally {
    pub(crate) fn new(window: Window) -> Fallible<Self> {
        let took = Histogram::new_with_bounds(1, 60_000_000, 3)?;
        let counted = Counted { window, took, good: 0, bad: 0, complaint: None };
        Ok(Self { counted: Arc::new(Mutex::new(counted)), window })
    }

    fn lock(&self) -> MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts an answer that took so long; `counts` is the time that must lie in the window.
    pub(crate) fn answered(&self, counts: Instant, took: Duration) {
        let mut counted = self.lock();
        counted.good += 1;
        if counts >= self.window.from && counts < self.window.to {
            counted.took.saturating_record(micros(took));
        }
    }

    /// Counts an answer that was not wanted.
    pub(crate) fn complain(&self, status: u16, body: &[u8]) {
        let mut counted = self.lock();
        counted.bad += 1;
        counted.complaint.get_or_insert_with(|| format!("{status} {}", String::from_utf8_lossy(body)));
    }

    /// What was counted, whatever was answered.
    pub(crate) fn all(&self) -> Counted {
        self.lock().clone()
    }

    /// What was counted. An error if there were answers that nobody wanted.
    pub(crate) fn counted(&self) -> Fallible<Counted> {
        let counted = self.all();
        match &counted.complaint {
            Some(complaint) => Err(format!("{} requests were refused, the first: {complaint}", counted.bad).into()),
            None => Ok(counted),
        }
    }
}

impl Counted {
    /// The microseconds in which this share of the answers came.
    #[expect(clippy::cast_precision_loss, reason = "microseconds of a measurement")]
    pub(crate) fn quantile(&self, quantile: f64) -> f64 {
        self.took.value_at_quantile(quantile) as f64
    }

    /// Answers per second, over the window.
    #[expect(clippy::cast_precision_loss, reason = "nobody counts 2^52 answers")]
    pub(crate) fn rate(&self) -> f64 {
        self.took.len() as f64 / self.window.length().as_secs_f64()
    }
}

/// In whole microseconds.
pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
