use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tokio::task::JoinSet;

use crate::store::subject::{self, Subject};

/// Who calls, and how many at once. Each caller waits for its answer before it calls again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Load {
    /// So many callers submit one job each.
    Accept(usize),
    /// So many workers claim one job and finish it.
    Cycle(usize),
    /// 256 callers submit, 4 workers claim and finish 100 jobs each.
    Mixed,
}

/// What a run came to.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    /// Jobs accepted in a second.
    pub(crate) accepted: f64,
    /// Jobs claimed and finished in a second.
    pub(crate) cycled: f64,
    /// How long a caller waited for its answer, in microseconds: to a submission, or of a worker to both calls.
    pub(crate) waits: Histogram<u64>,
}

impl Measured {
    /// What counts: the jobs that are accepted, or else done.
    pub(crate) fn rate(&self) -> f64 {
        if self.accepted > 0.0 { self.accepted } else { self.cycled }
    }
}

/// The number of the next job of this process: each has an idempotency key of its own, over all runs.
static NUMBER: AtomicU64 = AtomicU64::new(0);

/// What all callers of a run look at.
#[derive(Debug, Default)]
struct Run {
    over: AtomicBool,
    accepted: AtomicU64,
    cycled: AtomicU64,
}

#[expect(clippy::disallowed_methods, reason = "what is measured is real time")]
fn instant() -> Instant {
    Instant::now()
}

fn waits() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000, 2).expect("the bounds are right")
}

fn micros(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
}

impl Load {
    pub(crate) const ALL: [Self; 5] =
        [Self::Accept(1), Self::Accept(64), Self::Accept(1_024), Self::Cycle(64), Self::Mixed];

    pub(crate) fn name(self) -> String {
        match self {
            Self::Accept(callers) => format!("accept-{callers}"),
            Self::Cycle(workers) => format!("cycle-{workers}"),
            Self::Mixed => "mixed".to_owned(),
        }
    }

    /// Measures for so long.
    pub(crate) async fn run<S: Subject>(self, subject: &Arc<S>, time: Duration) -> Measured {
        let run = Arc::new(Run::default());
        if self != Self::Mixed && matches!(self, Self::Cycle(_)) {
            // More than can be done in the time.
            let enough = 120_000 * (time.as_secs() + 1);
            fill(subject, enough.saturating_sub(subject.waiting())).await;
        }
        let mut callers = JoinSet::new();
        let (submitters, workers, batch) = match self {
            Self::Accept(callers) => (callers, 0, 0),
            Self::Cycle(workers) => (0, workers, 1),
            Self::Mixed => (256, 4, 100),
        };
        (0..submitters).for_each(|_| drop(callers.spawn(submit(Arc::clone(subject), Arc::clone(&run)))));
        let measures = self != Self::Mixed;
        (0..workers).for_each(|_| drop(callers.spawn(work(Arc::clone(subject), Arc::clone(&run), batch, measures))));
        let begin = instant();
        tokio::time::sleep(time).await;
        let (accepted, cycled) = (run.accepted.load(Ordering::Relaxed), run.cycled.load(Ordering::Relaxed));
        let seconds = begin.elapsed().as_secs_f64();
        run.over.store(true, Ordering::Relaxed);
        let mut all = waits();
        while let Some(waits) = callers.join_next().await {
            all.add(waits.expect("no caller fails")).expect("the same bounds");
        }
        #[expect(clippy::cast_precision_loss, reason = "counts of a few seconds")]
        let per_second = |count: u64| count as f64 / seconds;
        Measured { accepted: per_second(accepted), cycled: per_second(cycled), waits: all }
    }
}

/// Accepts so many jobs, a thousand in a call.
pub(crate) async fn fill<S: Subject>(subject: &Arc<S>, count: u64) {
    let from = NUMBER.fetch_add(count, Ordering::Relaxed);
    let (template, input) = (subject::template(), subject::input());
    let numbers: Vec<u64> = (from..from + count).collect();
    let mut batches = JoinSet::new();
    for numbers in numbers.chunks(1_000) {
        let jobs = numbers.iter().map(|number| subject::job(&template, &input, *number)).collect();
        let subject = Arc::clone(subject);
        batches.spawn(async move { subject.accept(jobs).await });
        if batches.len() >= 8 {
            batches.join_next().await;
        }
    }
    while batches.join_next().await.is_some() {}
}

async fn submit<S: Subject>(subject: Arc<S>, run: Arc<Run>) -> Histogram<u64> {
    let (template, input, mut waits) = (subject::template(), subject::input(), waits());
    while !run.over.load(Ordering::Relaxed) {
        let job = subject::job(&template, &input, NUMBER.fetch_add(1, Ordering::Relaxed));
        let begin = instant();
        subject.accept(vec![job]).await;
        waits.saturating_record(micros(begin));
        run.accepted.fetch_add(1, Ordering::Relaxed);
    }
    waits
}

async fn work<S: Subject>(subject: Arc<S>, run: Arc<Run>, batch: usize, measures: bool) -> Histogram<u64> {
    let mut waits = waits();
    while !run.over.load(Ordering::Relaxed) {
        let begin = instant();
        let claims = subject.claim(batch).await;
        if claims.is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
            continue;
        }
        let count = u64::try_from(claims.len()).unwrap_or_default();
        subject.finish(claims).await;
        if measures {
            waits.saturating_record(micros(begin));
        }
        run.cycled.fetch_add(count, Ordering::Relaxed);
    }
    waits
}
