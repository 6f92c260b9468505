//! Jobs whose first upstream does not serve them, and another that may be called instead.

use std::path::Path;
use std::time::Duration;

use raincheck_core::{Job, State};
use raincheck_engine::{Engine, Registry};
use raincheck_kinds::{Llm, Recipes};
use raincheck_recipes::{Book, Recipe};
use raincheck_simulator::{Dialect, Fault, FaultKind, FaultRule, RetryAfter, SimConfig, Simulator};
use raincheck_upstream::{Egress, Patience, Protocol, UpstreamConfig, Upstreams};
use serde_json::json;

use crate::llm::{chat, quick, result};
use crate::support::{end_within, engine, engine_at, submit};

/// Behind backoff of some seconds, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

async fn simulator(config: SimConfig) -> Simulator {
    Simulator::start(config, "127.0.0.1:0".parse().unwrap()).await.unwrap()
}

/// An upstream called first, and another that may be called instead if there is one.
fn upstreams_of(first: &str, second: Option<&Simulator>) -> Upstreams {
    let upstream = |url: &str| UpstreamConfig::new(Protocol::Openai, url.parse().unwrap());
    let patience = Patience { first_byte: Duration::from_millis(300), ..Patience::default() };
    let fallback = second.map(|_| "second".to_owned()).into_iter().collect();
    let first = UpstreamConfig { fallback, models: vec!["gpt-5".into()], patience, ..upstream(first) };
    let second = second.map(|second| ("second".to_owned(), upstream(&second.url(Dialect::Openai))));
    let configs = [("first".to_owned(), first)].into_iter().chain(second).collect();
    Upstreams::new(configs, &Egress::default(), || raincheck_core::Dice(0)).unwrap()
}

/// An engine whose chats are answered by the first, or by the second instead.
async fn engine_of(first: &str, second: Option<&Simulator>) -> Engine {
    engine(Registry::default().with(Llm::chat(upstreams_of(first, second)))).await
}

async fn run(engine: &Engine) -> Job {
    let job = submit(engine, "llm.chat", chat()).await.unwrap();
    end_within(engine, job, PATIENCE).await
}

/// Always, or so many times.
fn fails(simulator: &Simulator, kind: FaultKind, status: Option<u16>, calls: Option<u64>) {
    let fault = Fault { kind, status, retry_after: RetryAfter::None, wait_ms: None, after_tokens: 3 };
    simulator.add_faults(vec![FaultRule { calls, ..FaultRule::always(fault) }]).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_alone_does_not_wait_for_an_upstream_that_nobody_answers_for() {
    let second = simulator(quick()).await;
    let engine = engine_of("http://127.0.0.1:9/v1", Some(&second)).await;
    for _ in 0..5 {
        let job = run(&engine).await;
        assert_eq!(job.life.state, State::Completed, "{job:?}");
        assert!(result(&job)["choices"].is_array() && job.life.failures <= 2, "{job:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_or_hangs_twice_is_asked_of_the_next() {
    for kind in [FaultKind::ServerError, FaultKind::Hang, FaultKind::ResetMid] {
        let (first, second) = (simulator(quick()).await, simulator(quick()).await);
        fails(&first, kind, None, None);
        let job = run(&engine_of(&first.url(Dialect::Openai), Some(&second)).await).await;
        assert_eq!((job.life.state, job.life.failures), (State::Completed, 2), "{kind:?}: {job:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_of_a_recipe_that_counts_its_own_failures_is_asked_of_the_next_as_well() {
    let recipe = r#"
name = "it"
result = "{{ steps.ask.choices | length }}"
[route]
post = "/it"
[steps.ask]
kind = "llm.chat"
max_attempts = 5
input = { model = "gpt-5", messages = [{ role = "user", content = "Why?" }] }
"#;
    let book = Book::default();
    book.replace(vec![Recipe::read(Path::new("it.toml"), recipe).unwrap()]).unwrap();
    let second = simulator(quick()).await;
    let kinds = Registry::default().with(Llm::chat(upstreams_of("http://127.0.0.1:9/v1", Some(&second))));
    let engine = engine_at(|clock| kinds.clone().with(Recipes::new(book, kinds, clock))).await;
    let job = submit(&engine, "recipe", json!({ "recipe": "it", "input": {} })).await.unwrap();
    let job = end_within(&engine, job, PATIENCE).await;
    assert_eq!((job.life.state, job.life.failures), (State::Completed, 0), "{job:?}");
    let steps = engine.store().steps(job.id).await.unwrap();
    assert_eq!(steps.iter().filter(|step| step.name.starts_with("ask/failed ")).count(), 2, "{steps:?}");
}

/// How a job ended, how often it failed, and whether the second served it; without a fallback, and with one.
type Told = [(State, u32, bool); 2];

/// The column of jobs of the table in docs/upstreams.md, row by row: what happens once, to a job alone and to one with a fallback.
#[tokio::test(flavor = "multi_thread")]
async fn each_row_of_the_table_is_true_of_jobs() {
    use FaultKind::{ContentPolicy, Hang, InsufficientQuota, Malformed, RateLimited, ResetBefore, ResetMid, Status};
    // Tried again; elsewhere, or it fails; it fails anyhow.
    let again: Told = [(State::Completed, 1, false); 2];
    let elsewhere = [(State::Failed, 1, false), (State::Completed, 0, true)];
    let never = [(State::Failed, 1, false); 2];
    let of_status = |statuses: &[u16], told| statuses.iter().map(|status| (Status, Some(*status), told)).collect();
    let rows: Vec<Vec<(FaultKind, Option<u16>, Told)>> = vec![
        [ResetBefore, ResetMid, Hang, Malformed].map(|kind| (kind, None, again)).to_vec(),
        of_status(&[500, 502, 504, 520, 503, 529, 408, 409], again),
        vec![(RateLimited, None, [(State::Completed, 0, false), (State::Completed, 0, true)])],
        vec![(InsufficientQuota, None, elsewhere), (ContentPolicy, None, elsewhere)],
        of_status(&[402, 401, 403, 404, 410], elsewhere),
        of_status(&[400, 413, 414, 415, 422], never),
    ];
    let tried = rows.into_iter().flatten().map(async |(kind, status, told)| {
        for (has_fallback, told) in [false, true].into_iter().zip(told) {
            let (first, second) = (simulator(quick()).await, simulator(quick()).await);
            fails(&first, kind, status, Some(1));
            let engine = engine_of(&first.url(Dialect::Openai), has_fallback.then_some(&second)).await;
            let job = run(&engine).await;
            let found = (job.life.state, job.life.failures, second.ledger().total.executions > 0);
            assert_eq!(found, told, "{kind:?} {status:?}, with a fallback: {has_fallback}: {job:?}");
        }
    });
    futures_util::future::join_all(tried).await;
}
