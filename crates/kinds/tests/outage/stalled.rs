//! A provider whose streams stop in the middle, on a connection that stays open.

use std::time::Duration;

use raincheck_simulator::{Behaviour, Fault, FaultKind};

use super::{BEFORE, Drill, Ends, LOAD, MINUTE};

/// How long a gap is waited for.
const GAP: Duration = Duration::from_secs(5);

#[tokio::test(start_paused = true)]
async fn a_stream_that_stalls_is_given_up_and_started_anew() {
    let mut drill = Drill::new("llm.chat", Behaviour::default(), |config| config.patience.gap = GAP).await;
    drill.load(BEFORE).await;
    drill.calls();
    drill.fault(Fault::new(FaultKind::Stall), 0.2, MINUTE);
    drill.load(MINUTE).await;
    let ends = drill.ends().await;
    let (calls, tally) = (drill.calls(), drill.tally());
    let jobs = u64::from(LOAD) * MINUTE.as_secs();
    let stalled: Vec<_> = ends.jobs.iter().filter(|job| job.life.failures > 0).collect();
    let slowest = stalled.iter().map(|job| Ends::took(job)).max().unwrap();
    println!(
        "a fifth of the streams stall for a minute: {} of {jobs} jobs met one, {calls} calls, {} cut off by us, at most {} \
         failures counted against a job, the slowest took {slowest:?}",
        stalled.len(),
        tally.aborted,
        ends.most().1
    );
    assert!(stalled.len() as u64 * 10 >= jobs, "{} jobs met one", stalled.len());
    assert!(stalled.iter().all(|job| Ends::took(job) >= GAP));
    assert!(calls * 10 <= jobs * 14, "{calls} calls for {jobs} jobs");
    assert_eq!((tally.under_way, tally.completed + tally.aborted), (0, tally.executions), "no stream is left open");
}
