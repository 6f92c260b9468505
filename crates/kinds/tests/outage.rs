//! A provider that fails everything for a while, and then does not.

use std::time::{Duration, Instant};

use raincheck_core::State;
use raincheck_simulator::{Dialect, Fault, FaultKind, FaultRule, RetryAfter};
use serde_json::json;

use crate::llm::{Place, quick};
use crate::support::end;

/// How long it fails.
const OUTAGE: Duration = Duration::from_secs(8);
const JOBS: u32 = 200;

/// Jobs wait, go on by themselves, and the provider is not trampled meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn an_outage_is_waited_for_and_not_multiplied() {
    let place = Place::new(quick(), |_| ()).await;
    let fault = Fault {
        kind: FaultKind::Unavailable,
        status: None,
        retry_after: RetryAfter::None,
        wait_ms: None,
        after_tokens: 0,
    };
    let millis = u64::try_from(OUTAGE.as_millis()).unwrap();
    place.simulator.add_faults(vec![FaultRule { for_ms: Some(millis), ..FaultRule::always(fault) }]).unwrap();
    let begun = now();
    let mut jobs = Vec::new();
    for _ in 0..JOBS {
        jobs.push(place.submit("llm.embed", json!({"model": "embed", "input": "x"})).await);
        tokio::time::sleep(OUTAGE / JOBS).await;
    }
    let during = place.simulator.ledger().dialects[&Dialect::Openai].received;
    for job in jobs {
        assert_eq!(end(&place.engine, job).await.life.state, State::Completed);
    }
    let healed = begun.elapsed().saturating_sub(OUTAGE);
    println!("{during} calls for {JOBS} jobs during the outage; all done {healed:?} after it");
    assert!(during <= u64::from(JOBS) * 12 / 10, "{during} calls for {JOBS} jobs");
    assert!(healed < Duration::from_secs(60), "{healed:?}");
}

#[expect(clippy::disallowed_methods, reason = "what is promised is about real time")]
fn now() -> Instant {
    Instant::now()
}
