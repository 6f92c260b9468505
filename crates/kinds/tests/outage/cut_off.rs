//! A provider whose connections are reset.

use raincheck_simulator::{Behaviour, Fault, FaultKind};

use super::{BEFORE, Drill, LOAD, MINUTE};

/// Gives calls and jobs of a minute in which three in ten connections are reset in this way.
async fn resets(kind: FaultKind) -> (u64, u64) {
    let mut drill = Drill::new("llm.chat", Behaviour::default(), |_| ()).await;
    drill.load(BEFORE).await;
    drill.calls();
    drill.fault(Fault::new(kind), 0.3, MINUTE);
    drill.load(MINUTE).await;
    let ends = drill.ends().await;
    let (calls, jobs) = (drill.calls(), u64::from(LOAD) * MINUTE.as_secs());
    let begun = ends.jobs[0].spec.created_at;
    let normal = ends.normal_after(begun.after(BEFORE + MINUTE), ends.p99(begun, BEFORE));
    println!(
        "three in ten connections reset ({kind:?}) for a minute: {calls} calls for {jobs} jobs, at most {} failures counted \
         against a job; as before {normal:?} after it",
        ends.most().1
    );
    assert!(normal < MINUTE, "{normal:?}");
    (calls, jobs)
}

#[tokio::test(start_paused = true)]
async fn calls_that_are_cut_off_before_the_answer_are_made_again_as_often_as_it_takes_and_no_more() {
    let (calls, jobs) = resets(FaultKind::ResetBefore).await;
    assert!((jobs * 12 / 10..=jobs * 16 / 10).contains(&calls), "{calls} calls for {jobs} jobs");
}

#[tokio::test(start_paused = true)]
async fn so_are_those_that_are_cut_off_in_the_middle() {
    let (calls, jobs) = resets(FaultKind::ResetMid).await;
    assert!((jobs * 12 / 10..=jobs * 16 / 10).contains(&calls), "{calls} calls for {jobs} jobs");
}
