//! A provider that says that it is too much.

use std::time::Duration;

use raincheck_simulator::{Behaviour, Fault, FaultKind, Limits, Received, RetryAfter};

use super::{BEFORE, Drill, LOAD, MINUTE};

/// What the provider takes in a minute: half of the load.
const LIMIT: u64 = LOAD as u64 * 60 / 2;
/// When it wishes to be called again.
const COME_BACK: Duration = Duration::from_secs(4);

/// Every request it noted.
fn requests(drill: &Drill) -> Vec<Received> {
    let mut all: Vec<Received> = Vec::new();
    loop {
        let page = drill.place.simulator.requests(all.last().map_or(0, |last| last.number));
        if page.is_empty() {
            return all;
        }
        all.extend(page);
    }
}

/// It allows half of what it would be asked, the server has not been told, and it says so in the headers of its answers.
#[tokio::test(start_paused = true)]
async fn a_limit_that_it_announces_is_kept_without_being_configured() {
    let limits = Some(Limits { requests: Some(LIMIT), ..Limits::default() });
    let mut drill = Drill::new("llm.embed", Behaviour { limits, ..Behaviour::default() }, |_| ()).await;
    drill.load(MINUTE).await;
    drill.load(MINUTE).await;
    let ends = drill.ends().await;
    let ledger = drill.place.simulator.ledger();
    let first = ends.jobs.iter().map(|job| job.spec.created_at).min().unwrap();
    let last = ends.jobs.iter().filter_map(|job| job.life.finished_at).max().unwrap();
    let minutes = last.since(first).as_secs_f64() / 60.0;
    let used = ends.jobs.len() as f64 / (LIMIT as f64 * minutes);
    println!(
        "{LIMIT} a minute announced, {} asked for: {} jobs in {minutes:.1} minutes, {:.0} % of the limit used, {} calls refused, \
         {} failures counted against a job",
        LOAD * 60,
        ends.jobs.len(),
        used * 100.0,
        ledger.total.refused,
        ends.most().1
    );
    assert_eq!((ledger.total.refused, ends.most().1), (0, 0));
    assert!(used >= 0.95, "{used}");
}

/// It refuses half of all calls for a minute. Gives how many it refused, and how often it was called before it wished to be.
async fn storm(retry_after: RetryAfter) -> (u64, usize) {
    let mut drill = Drill::new("llm.embed", Behaviour::default(), |_| ()).await;
    drill.load(BEFORE).await;
    let wait_ms = u64::try_from(COME_BACK.as_millis()).unwrap();
    let fault = Fault { retry_after, wait_ms: Some(wait_ms), ..Fault::new(FaultKind::RateLimited) };
    drill.fault(fault, 0.5, MINUTE);
    drill.load(MINUTE).await;
    let refused = drill.tally().refused;
    let ends = drill.ends().await;
    let requests = requests(&drill);
    let told = requests.iter().filter(|request| request.status == Some(429)).map(|request| request.at_ms);
    let early = told.map(|at| {
        let until = at + wait_ms;
        requests.iter().filter(|request| request.at_ms > at && request.at_ms < until).count()
    });
    let (early, calls) = (early.sum(), requests.len());
    println!(
        "429 to half of the calls for a minute, retry-after {retry_after:?}: {refused} of {calls} calls refused, {early} \
         came before they should; {} failures counted against a job",
        ends.most().1
    );
    assert_eq!(ends.most().1, 0, "being told to wait costs nothing");
    (refused, early)
}

#[tokio::test(start_paused = true)]
async fn a_storm_of_429_is_obeyed_to_the_millisecond() {
    for form in [RetryAfter::Seconds, RetryAfter::Ms] {
        let (refused, early) = storm(form).await;
        assert!((1..=60).contains(&refused), "{refused} calls were refused");
        assert_eq!(early, 0, "{form:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_storm_of_429_that_does_not_say_when_to_come_back_is_waited_for_all_the_same() {
    let (refused, _) = storm(RetryAfter::None).await;
    assert!((1..=60).contains(&refused), "{refused} calls were refused");
}
