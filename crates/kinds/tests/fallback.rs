//! Jobs whose first upstream does not serve them, and another that may be called instead.

use std::time::Duration;

use raincheck_core::{Job, State};
use raincheck_engine::Registry;
use raincheck_kinds::Llm;
use raincheck_simulator::{Dialect, Fault, FaultKind, FaultRule, RetryAfter, SimConfig, Simulator};
use raincheck_upstream::{Egress, Patience, Protocol, UpstreamConfig, Upstreams};

use crate::llm::{chat, quick, result};
use crate::support::{end_within, engine, submit};

/// Behind backoff of some seconds, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

async fn simulator(config: SimConfig) -> Simulator {
    Simulator::start(config, "127.0.0.1:0".parse().unwrap()).await.unwrap()
}

/// A chat that is to be answered by the first, or by the second instead.
async fn run(first: &str, second: &Simulator, before: usize) -> Vec<Job> {
    let upstream = |url: &str| UpstreamConfig::new(Protocol::Openai, url.parse().unwrap());
    let patience = Patience { first_byte: Duration::from_millis(300), ..Patience::default() };
    let first =
        UpstreamConfig { fallback: vec!["second".into()], models: vec!["gpt-5".into()], patience, ..upstream(first) };
    let configs = [("first".to_owned(), first), ("second".to_owned(), upstream(&second.url(Dialect::Openai)))];
    let upstreams = Upstreams::new(configs.into(), &Egress::default(), || raincheck_core::Dice(0)).unwrap();
    let engine = engine(Registry::default().with(Llm::chat(upstreams))).await;
    let mut jobs = Vec::new();
    for _ in 0..=before {
        let job = submit(&engine, "llm.chat", chat()).await.unwrap();
        jobs.push(end_within(&engine, job, PATIENCE).await);
    }
    jobs
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_alone_does_not_wait_for_an_upstream_that_nobody_answers_for() {
    let second = simulator(quick()).await;
    for job in run("http://127.0.0.1:9/v1", &second, 4).await {
        assert_eq!(job.life.state, State::Completed, "{job:?}");
        assert!(result(&job)["choices"].is_array() && job.life.failures <= 2, "{job:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_or_hangs_twice_is_asked_of_the_next() {
    for kind in [FaultKind::ServerError, FaultKind::Hang, FaultKind::ResetMid] {
        let (first, second) = (simulator(quick()).await, simulator(quick()).await);
        let fault = Fault { kind, status: None, retry_after: RetryAfter::None, wait_ms: None, after_tokens: 3 };
        first.add_faults(vec![FaultRule::always(fault)]).unwrap();
        let jobs = run(&first.url(Dialect::Openai), &second, 0).await;
        assert_eq!((jobs[0].life.state, jobs[0].life.failures), (State::Completed, 2), "{kind:?}: {:?}", jobs[0]);
    }
}
