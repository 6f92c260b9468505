//! Drills: a provider that is down, refuses, stalls and cuts off, under a steady load. A minute of it is simulated time; the sockets are
//! real. `cargo xtask bench outage` does the same in real time with the real binary.

mod cut_off;
mod stalled;
mod throttled;

use std::time::Duration;

use raincheck_core::{Job, JobId, State, Time};
use raincheck_simulator::{Behaviour, Dialect, Distribution, Fault, FaultKind, FaultRule, SimConfig, Tally};
use raincheck_upstream::UpstreamConfig;
use serde_json::json;
use tokio::time::Instant;

use crate::llm::{Place, chat};
use crate::support::end_within;

/// Jobs a second.
const LOAD: u32 = 10;
/// How long before anything goes wrong: the gate has found out by then how much the provider bears.
const BEFORE: Duration = Duration::from_secs(30);
const MINUTE: Duration = Duration::from_secs(60);
/// Jobs that have not ended so long after the last was accepted never will.
const END: Duration = Duration::from_secs(600);

/// A provider whose calls take half a second, and a load of jobs that call it.
struct Drill {
    place: Place,
    kind: &'static str,
    /// Jobs a second.
    load: u32,
    jobs: Vec<JobId>,
    calls: u64,
}

/// What became of jobs.
struct Ends {
    jobs: Vec<Job>,
}

impl Drill {
    async fn new(kind: &'static str, behaviour: Behaviour, change: impl Fn(&mut UpstreamConfig)) -> Self {
        let behaviour = Behaviour {
            first_token_ms: Some(Distribution::Constant(300.0)),
            per_token_ms: Some(Distribution::Constant(20.0)),
            output_tokens: Some(Distribution::Constant(10.0)),
            ..behaviour
        };
        let place = Place::new(SimConfig { behaviour, ..SimConfig::default() }, change).await;
        Self { place, kind, load: LOAD, jobs: Vec::new(), calls: 0 }
    }

    /// Goes wrong in this way for so long.
    fn fault(&self, fault: Fault, rate: f64, length: Duration) {
        let for_ms = u64::try_from(length.as_millis()).unwrap();
        let rule = FaultRule { rate, for_ms: Some(for_ms), ..FaultRule::always(fault) };
        self.place.simulator.add_faults(vec![rule]).unwrap();
    }

    /// Submits jobs at a steady rate, for so long.
    async fn load(&mut self, length: Duration) {
        let begun = Instant::now();
        for number in 0..self.load * u32::try_from(length.as_secs()).unwrap() {
            tokio::time::sleep_until(begun + Duration::from_secs(1) / self.load * number).await;
            let input = if self.kind == "llm.embed" { json!({"model": "m", "input": "x"}) } else { chat() };
            self.jobs.push(self.place.submit(self.kind, input).await);
        }
        tokio::time::sleep_until(begun + length).await;
    }

    fn tally(&self) -> Tally {
        self.place.simulator.ledger().dialects.get(&Dialect::Openai).copied().unwrap_or_default()
    }

    /// How many calls the provider got since it was last asked.
    fn calls(&mut self) -> u64 {
        let received = self.tally().received;
        received - std::mem::replace(&mut self.calls, received)
    }

    /// Waits until every job has ended, and none in another way than well.
    async fn ends(&self) -> Ends {
        let mut jobs = Vec::new();
        for job in &self.jobs {
            let job = end_within(&self.place.engine, *job, END).await;
            assert_eq!(job.life.state, State::Completed, "{job:?}");
            jobs.push(job);
        }
        assert!(self.place.upstreams.status().iter().all(|gate| gate.under_way == 0), "all calls are given back");
        Ends { jobs }
    }
}

impl Ends {
    fn took(job: &Job) -> Duration {
        job.life.finished_at.unwrap().since(job.spec.created_at)
    }

    /// How long the jobs took that were accepted in this time, all but the slowest hundredth.
    fn p99(&self, from: Time, length: Duration) -> Duration {
        let within = |job: &&Job| job.spec.created_at >= from && job.spec.created_at < from.after(length);
        let mut took: Vec<Duration> = self.jobs.iter().filter(within).map(Self::took).collect();
        took.sort();
        took[took.len() * 99 / 100]
    }

    /// How long after `healed` the last job ended that took longer than twice `usual`.
    fn normal_after(&self, healed: Time, usual: Duration) -> Duration {
        let late = self.jobs.iter().filter(|job| Self::took(job) > usual * 2);
        late.map(|job| job.life.finished_at.unwrap().since(healed)).max().unwrap_or_default()
    }

    /// The most attempts that a job needed, and the most failures that were counted against one.
    fn most(&self) -> (u32, u32) {
        let lives = || self.jobs.iter().map(|job| &job.life);
        (lives().map(|life| life.attempt).max().unwrap(), lives().map(|life| life.failures).max().unwrap())
    }
}

/// Everything fails for so long. Gives calls and jobs meanwhile, and how long after it everything was as before.
async fn down(length: Duration, load: u32) -> (u64, u64, Duration) {
    let mut drill = Drill::new("llm.embed", Behaviour::default(), |_| ()).await;
    drill.load = load;
    drill.load(BEFORE).await;
    drill.calls();
    drill.fault(Fault::new(FaultKind::Unavailable), 1.0, length);
    drill.load(length).await;
    let calls = drill.calls();
    drill.load(MINUTE).await;
    let ends = drill.ends().await;
    let begun = ends.jobs[0].spec.created_at;
    let usual = ends.p99(begun, BEFORE);
    let normal = ends.normal_after(begun.after(BEFORE + length), usual);
    let jobs = u64::from(load) * length.as_secs();
    let (attempts, failures) = ends.most();
    println!(
        "{length:?} of 503: {calls} calls for {jobs} jobs meanwhile; as before {normal:?} after it (usual: {usual:?}); \
         no job needed more than {attempts} attempts or had more than {failures} counted against it"
    );
    (calls, jobs, normal)
}

/// Jobs wait, go on by themselves, and the provider is not trampled meanwhile.
#[tokio::test(start_paused = true)]
async fn an_outage_is_waited_for_and_not_multiplied() {
    let (calls, jobs, normal) = down(MINUTE, LOAD).await;
    assert!(calls * 10 <= jobs, "{calls} calls for {jobs} jobs: 1.2 each would be allowed");
    assert!(normal < MINUTE, "{normal:?}");
}

/// What does not depend on luck does not depend on how long it lasts.
#[tokio::test(start_paused = true)]
async fn ten_minutes_of_outage_are_no_worse_than_one() {
    let (calls, jobs, normal) = down(MINUTE * 10, 2).await;
    assert!(calls * 10 <= jobs, "{calls} calls for {jobs} jobs");
    assert!(normal < MINUTE, "{normal:?}");
}
