//! Calls of language models, against a simulated provider.

use std::collections::BTreeMap;
use std::time::Duration;

use raincheck_core::gate::ConcurrencyLimit;
use raincheck_core::{EventBody, EventType, Job, JobId, Outcome, Problem, ProblemType, State};
use raincheck_engine::{Engine, Registry};
use raincheck_kinds::{ConversationSummarize, Llm};
use raincheck_simulator::{
    Behaviour, Dialect, Distribution, Fault, FaultKind, FaultRule, Limits, On, RetryAfter, SimConfig, Simulator,
};
use raincheck_upstream::{Egress, OnAmbiguous, Prices, Protocol, UpstreamConfig, Upstreams};
use serde_json::{Value, json};

use crate::support::{end, end_within, engine, log, submit, submit_with};

/// A simulated provider and an engine that calls it.
pub(crate) struct Place {
    pub(crate) simulator: Simulator,
    pub(crate) engine: Engine,
    pub(crate) upstreams: Upstreams,
}

pub(crate) fn quick() -> SimConfig {
    let behaviour = Behaviour {
        first_token_ms: Some(Distribution::Constant(2.0)),
        per_token_ms: Some(Distribution::Constant(1.0)),
        output_tokens: Some(Distribution::Constant(20.0)),
        ..Behaviour::default()
    };
    SimConfig { behaviour, ..SimConfig::default() }
}

impl Place {
    /// With the upstreams `openai` and `anthropic`, changed by `change`.
    pub(crate) async fn new(config: SimConfig, change: impl Fn(&mut UpstreamConfig)) -> Self {
        let simulator = Simulator::start(config, "127.0.0.1:0".parse().unwrap()).await.unwrap();
        let upstream = |protocol: Protocol, url: String| {
            let mut config = UpstreamConfig::new(protocol, url.parse().unwrap());
            change(&mut config);
            config
        };
        let anthropic = simulator.url(Dialect::Anthropic);
        let anthropic = anthropic.trim_end_matches("/v1").to_owned();
        let configs = BTreeMap::from([
            ("openai".to_owned(), upstream(Protocol::Openai, simulator.url(Dialect::Openai))),
            ("anthropic".to_owned(), upstream(Protocol::Anthropic, anthropic)),
        ]);
        let upstreams = Upstreams::new(configs, &Egress::default(), || raincheck_core::Dice(0)).unwrap();
        let kinds = [Llm::response, Llm::chat, Llm::message, Llm::embed];
        let registry = Registry::default().with(ConversationSummarize::new(upstreams.clone()));
        let registry = kinds.into_iter().fold(registry, |all, kind| all.with(kind(upstreams.clone())));
        Self { simulator, engine: engine(registry).await, upstreams }
    }

    pub(crate) async fn submit(&self, kind: &str, input: Value) -> JobId {
        submit(&self.engine, kind, input).await.unwrap()
    }

    pub(crate) async fn run(&self, kind: &str, input: Value) -> Job {
        end(&self.engine, self.submit(kind, input).await).await
    }

    async fn outputs(&self, job: &Job) -> Vec<Value> {
        let outputs = log(&self.engine, job.id).await.into_iter().filter_map(|event| match event.body {
            EventBody::Output(output) => Some(output.parse().unwrap()),
            _ => None,
        });
        outputs.collect()
    }

    fn fault(&self, kind: FaultKind, change: impl FnOnce(&mut FaultRule)) {
        let fault = Fault { kind, status: None, retry_after: RetryAfter::None, wait_ms: None, after_tokens: 5 };
        let mut rule = FaultRule::always(fault);
        change(&mut rule);
        self.simulator.add_faults(vec![rule]).unwrap();
    }
}

pub(crate) fn result(job: &Job) -> Value {
    match &job.outcome {
        Some(Outcome::Completed(result)) => result.parse().unwrap(),
        other => panic!("expected a result, not {other:?}"),
    }
}

fn problem(job: &Job) -> Problem {
    match &job.outcome {
        Some(Outcome::Failed(problem)) => problem.clone(),
        other => panic!("expected a problem, not {other:?}"),
    }
}

pub(crate) fn chat() -> Value {
    json!({"model": "gpt-5", "messages": [{"role": "user", "content": "Why is the sky blue?"}]})
}

#[tokio::test(flavor = "multi_thread")]
async fn what_followers_see_is_what_the_result_says() {
    let prices = Prices { input: "1".parse().unwrap(), output: "2.5".parse().unwrap() };
    let place = Place::new(quick(), |config| config.prices = Some(prices)).await;
    let job = place.run("llm.chat", chat()).await;
    let text: String = place
        .outputs(&job)
        .await
        .iter()
        .filter_map(|chunk| chunk.pointer("/choices/0/delta/content")?.as_str().map(str::to_owned))
        .collect();
    assert_eq!(result(&job)["choices"][0]["message"]["content"], json!(text));
    assert!(text.len() > 20 && result(&job)["usage"]["completion_tokens"].as_u64().unwrap() > 0);

    let job = place.run("llm.response", json!({"model": "gpt-5", "input": "Why?"})).await;
    let outputs = place.outputs(&job).await;
    let deltas = outputs.iter().filter(|event| event["type"] == "response.output_text.delta");
    let text: String = deltas.map(|event| event["delta"].as_str().unwrap()).collect();
    assert_eq!(result(&job)["output"][0]["content"][0]["text"], json!(text));
    assert_eq!((&result(&job)["status"], outputs[0]["type"].as_str()), (&json!("completed"), Some("response.created")));

    let message = json!({"model": "claude", "max_tokens": 100, "messages": [{"role": "user", "content": "Why?"}]});
    let job = place.run("llm.message", message).await;
    let text: String = place
        .outputs(&job)
        .await
        .iter()
        .filter_map(|event| event.pointer("/delta/text")?.as_str().map(str::to_owned))
        .collect();
    assert_eq!(result(&job)["content"][0]["text"], json!(text));
    assert!(result(&job)["usage"]["input_tokens"].as_u64().unwrap() > 0 && result(&job)["stop_reason"].is_string());

    let job = place.run("llm.embed", json!({"model": "embed", "input": ["a", "b"]})).await;
    assert_eq!(result(&job)["data"].as_array().unwrap().len(), 2);
    let served = log(&place.engine, job.id).await.into_iter().find_map(|event| match event.body {
        EventBody::Step(step) if step.name == "served" => Some(step.result.parse::<Value>().unwrap()),
        _ => None,
    });
    let mut served = served.unwrap();
    let seconds = served.as_object_mut().unwrap().remove("seconds").unwrap().as_f64().unwrap();
    assert!(seconds > 0.0 && seconds < 10.0, "{seconds}");
    let tokens = result(&job)["usage"]["prompt_tokens"].clone();
    assert_eq!(
        served,
        json!({"upstream": "openai", "model": "embed", "input_tokens": tokens, "output_tokens": 0, "cost": 1e-6})
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_refused_before_a_job_exists() {
    let place = Place::new(quick(), |config| config.models = vec!["gpt-5".into()]).await;
    for (input, pointer, part) in [
        (json!({"messages": []}), "/input", "missing field `model`"),
        (json!({"model": "gpt-5"}), "/input", "missing field `messages`"),
        (json!({"model": 5, "messages": []}), "/input/model", "expected a string"),
        (json!({"model": "gpt-4", "messages": []}), "/input/model", "takes the model"),
        (json!({"model": "gpt-5", "messages": [], "upstream": "x"}), "/input/upstream", "there are: openai"),
        (json!({"model": "gpt-5", "messages": [], "upstream": "anthropic"}), "/input/upstream", "speaks openai"),
    ] {
        let problem = submit(&place.engine, "llm.chat", input.clone()).await.unwrap_err();
        assert_eq!(problem.pointer.as_deref(), Some(pointer), "{input}: {problem:?}");
        assert!(problem.detail.contains(part), "{input}: {problem:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_breaks_off_starts_anew_and_the_boundary_shows() {
    let place = Place::new(quick(), |_| ()).await;
    for kind in [FaultKind::ResetMid, FaultKind::Truncate, FaultKind::ErrorMid] {
        place.fault(kind, |rule| rule.calls = Some(1));
        let job = place.run("llm.chat", chat()).await;
        assert_eq!((job.life.state, job.life.failures), (State::Completed, 1), "{kind:?}");
        let types: Vec<EventType> =
            log(&place.engine, job.id).await.iter().map(|event| event.body.event_type()).collect();
        let retried = types.iter().position(|name| *name == EventType::RetryScheduled).unwrap();
        assert_eq!(types[retried + 1], EventType::Started, "{kind:?}: {types:?}");
        place.simulator.clear_faults();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_ends_the_job_with_the_providers_own_words() {
    let place = Place::new(quick(), |_| ()).await;
    place.fault(FaultKind::ContentPolicy, |_| ());
    let job = place.run("llm.chat", chat()).await;
    let problem = problem(&job);
    assert!(problem.is(ProblemType::UPSTREAM_REFUSED), "{problem:?}");
    assert_eq!((problem.upstream_status, job.life.attempt), (Some(400), 1));
    assert!(problem.upstream_error.unwrap().as_str().contains("content_policy"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_limit_costs_no_attempt() {
    let place = Place::new(quick(), |_| ()).await;
    place.fault(FaultKind::RateLimited, |rule| {
        (rule.calls, rule.fault.retry_after, rule.fault.wait_ms) = (Some(2), RetryAfter::Ms, Some(600));
    });
    let job = place.run("llm.chat", chat()).await;
    assert_eq!((job.life.state, job.life.failures), (State::Completed, 0));
    let types: Vec<EventType> = log(&place.engine, job.id).await.iter().map(|event| event.body.event_type()).collect();
    assert!(types.contains(&EventType::Postponed) && !types.contains(&EventType::RetryScheduled), "{types:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn cancel_ends_the_call_at_the_provider() {
    let slow = SimConfig {
        behaviour: Behaviour { call_ms: Some(Distribution::Constant(60_000.0)), ..quick().behaviour },
        ..quick()
    };
    let place = Place::new(slow, |_| ()).await;
    let job = place.submit("llm.chat", chat()).await;
    let begun = || place.simulator.ledger().dialects.get(&Dialect::Openai).is_some_and(|tally| tally.executions > 0);
    while !begun() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    place.engine.cancel(job, None, None).await.unwrap();
    assert_eq!(end(&place.engine, job).await.life.state, State::Cancelled);
    let aborted = || place.simulator.ledger().dialects[&Dialect::Openai].aborted;
    for _ in 0..400 {
        if aborted() == 1 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("the provider still works on it: {:?}", place.simulator.ledger());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_may_have_been_done_is_not_paid_for_twice_if_so_wished() {
    let place = Place::new(quick(), |config| config.on_ambiguous = OnAmbiguous::Fail).await;
    place.fault(FaultKind::LostAnswer, |_| ());
    let job = place.run("llm.chat", chat()).await;
    assert!(problem(&job).is(ProblemType::OUTCOME_AMBIGUOUS), "{:?}", problem(&job));
    assert_eq!(place.simulator.ledger().dialects[&Dialect::Openai].executions, 1);
    let again =
        place.run("llm.chat", json!({"model": "gpt-5", "messages": [], "on_ambiguous": "retry", "upstream": "openai"}));
    place.simulator.clear_faults();
    assert_eq!(again.await.life.state, State::Completed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_with_a_background_mode_is_asked_for_it() {
    let place = Place::new(quick(), |config| config.native_background = true).await;
    let job = place.run("llm.response", json!({"model": "gpt-5", "input": "Why?"})).await;
    assert_eq!(result(&job)["status"], json!("completed"));
    let steps = log(&place.engine, job.id).await.into_iter().filter(|event| event.body.event_type() == EventType::Step);
    assert!(steps.count() >= 2, "the provider's id is recorded before it is waited for");
    assert_eq!(place.simulator.ledger().dialects[&Dialect::Openai].executions, 1);
}

/// A provider whose calls take so long, and that is asked for its background mode.
async fn background(call_ms: f64, change: impl Fn(&mut UpstreamConfig)) -> Place {
    let slow = Behaviour { call_ms: Some(Distribution::Constant(call_ms)), ..quick().behaviour };
    Place::new(SimConfig { behaviour: slow, ..quick() }, |config| {
        config.native_background = true;
        change(config);
    })
    .await
}

impl Place {
    async fn respond(&self, timeout: Duration) -> Job {
        let input = json!({"model": "gpt-5", "input": "Why?"});
        let job = submit_with(&self.engine, "llm.response", input, |wish| wish.timeout = Some(timeout)).await.unwrap();
        end_within(&self.engine, job, Duration::from_secs(3_600)).await
    }

    /// Checks that the pieces of text in a job's log are those of its result, in order and each once; gives their number.
    async fn check_text(&self, job: &Job) -> usize {
        let outputs = self.outputs(job).await;
        let numbers: Vec<u64> = outputs.iter().map(|event| event["sequence_number"].as_u64().unwrap()).collect();
        assert!(numbers.is_sorted_by(|one, next| one < next), "{numbers:?}");
        let deltas = outputs.iter().filter(|event| event["type"] == "response.output_text.delta");
        let deltas: Vec<&str> = deltas.map(|event| event["delta"].as_str().unwrap()).collect();
        assert_eq!(result(job)["output"][0]["content"][0]["text"], json!(deltas.concat()));
        assert_eq!(self.simulator.ledger().dialects[&Dialect::Openai].executions, 1);
        deltas.len()
    }
}

const LONG: Duration = Duration::from_secs(3_600);

#[tokio::test(start_paused = true)]
async fn the_text_grows_in_a_providers_background_mode_too() {
    let place = background(12_000.0, |_| ()).await;
    let job = place.respond(LONG).await;
    assert_eq!((job.life.state, job.life.attempt), (State::Completed, 1), "{:?}", job.outcome);
    assert!(place.check_text(&job).await >= 15);
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_work_in_the_background_is_resumed_where_it_broke_off() {
    for kind in [FaultKind::ResetMid, FaultKind::Truncate, FaultKind::ErrorMid, FaultKind::Malformed] {
        let place = background(12_000.0, |_| ()).await;
        place.fault(kind, |rule| rule.calls = Some(1));
        // And once more when it is resumed.
        place.fault(kind, |rule| (rule.on, rule.calls) = (On::Poll, Some(1)));
        let job = place.respond(LONG).await;
        assert_eq!((job.life.state, job.life.attempt), (State::Completed, 1), "{kind:?}: {:?}", job.outcome);
        place.check_text(&job).await;
    }
}

#[tokio::test(start_paused = true)]
async fn another_attempt_goes_on_with_the_text_where_the_one_before_it_was() {
    let place = background(50_000.0, |_| ()).await;
    let job = place.respond(Duration::from_secs(15)).await;
    assert_eq!((job.life.state, job.life.attempt), (State::Completed, 4), "{:?}", job.outcome);
    place.check_text(&job).await;
}

/// OpenAI can stream a response again for five minutes; after that its text is there only whole.
#[tokio::test(start_paused = true)]
async fn what_can_no_longer_be_streamed_is_told_all_the_same() {
    let place = background(12_000.0, |_| ()).await;
    place.fault(FaultKind::ResetMid, |rule| rule.calls = Some(1));
    place.fault(FaultKind::Unavailable, |rule| (rule.on, rule.for_ms) = (On::Poll, Some(340_000)));
    let job = place.respond(LONG).await;
    assert_eq!(job.life.state, State::Completed, "{:?}", job.outcome);
    assert!(place.check_text(&job).await < 10, "the rest came in one piece");
}

#[tokio::test(start_paused = true)]
async fn work_in_the_background_is_stopped_when_it_takes_longer_than_it_may() {
    for (policy, executions) in [(OnAmbiguous::Fail, 1), (OnAmbiguous::Retry, 3)] {
        let place = background(12_000.0, |config| {
            (config.patience.total, config.on_ambiguous) = (Duration::from_secs(3), policy);
        })
        .await;
        let began = tokio::time::Instant::now();
        let job = place.respond(LONG).await;
        assert!(problem(&job).detail.contains("3 s"), "{:?}", job.outcome);
        let tally = &place.simulator.ledger().dialects[&Dialect::Openai];
        assert_eq!((tally.executions, tally.cancelled, tally.under_way), (executions, executions, 0), "{policy:?}");
        assert!(policy != OnAmbiguous::Fail || began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    }
}

/// A thousand jobs for a provider that takes five calls at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_jobs_make_five_calls_at_once() {
    let limits = Limits { concurrent: Some(5), ..Limits::default() };
    let config = SimConfig { behaviour: Behaviour { limits: Some(limits), ..quick().behaviour }, ..quick() };
    let place = Place::new(config, |config| config.concurrency = ConcurrencyLimit::Fixed(5)).await;
    let mut jobs = Vec::new();
    for _ in 0..1_000 {
        jobs.push(place.submit("llm.embed", json!({"model": "embed", "input": "x"})).await);
    }
    for job in jobs {
        assert_eq!(end(&place.engine, job).await.life.state, State::Completed);
    }
    let tally = &place.simulator.ledger().dialects[&Dialect::Openai];
    assert_eq!((tally.completed, tally.breaches), (1_000, 0), "{tally:?}");
    assert!(tally.under_way_peak <= 5, "{tally:?}");
    assert!(place.upstreams.status().iter().all(|gate| gate.under_way == 0));
}

#[tokio::test]
async fn an_answer_that_broke_off_is_no_success_and_is_kept() {
    for is_background in [false, true] {
        let place = Place::new(quick(), |upstream| upstream.native_background = is_background).await;
        let input = json!({ "model": "m", "input": "Tell me.", "max_output_tokens": 3 });
        let job = place.run("llm.response", input).await;
        let problem = problem(&job);
        assert!(problem.is(ProblemType::ANSWER_INCOMPLETE), "{job:?}");
        assert!(problem.detail.contains("max_output_tokens"), "{job:?}");
        let kept: Value = problem.upstream_error.as_ref().unwrap().parse().unwrap();
        assert_eq!(kept["output"][0]["content"][0]["text"].as_str().unwrap().split(' ').count(), 3, "{kept}");
        assert_eq!(place.simulator.ledger().total.executions, 1, "it is not paid for again");
    }
}

#[tokio::test]
async fn work_that_failed_at_the_upstream_is_begun_anew() {
    let place = Place::new(quick(), |upstream| upstream.native_background = true).await;
    place.fault(FaultKind::Fails, |rule| rule.calls = Some(1));
    let job = place.run("llm.response", json!({ "model": "m", "input": "Tell me." })).await;
    assert_eq!((job.life.state, job.life.attempt), (State::Completed, 2), "{job:?}");
    let total = place.simulator.ledger().total;
    assert_eq!((total.executions, total.failed, total.completed), (2, 1, 1));
    place.fault(FaultKind::Fails, |_| {});
    let job = place.run("llm.response", json!({ "model": "m", "input": "Tell me more." })).await;
    assert!(problem(&job).detail.contains("The simulated work failed."), "{job:?}");
    assert_eq!((job.life.failures, place.simulator.ledger().total.executions), (3, 5));
}

/// Three kinds, one model: what is claimed is what the gate lets through, and nothing is handed back.
#[tokio::test(start_paused = true)]
async fn kinds_of_one_lane_claim_together_no_more_than_its_gate_takes() {
    let slow = Behaviour { call_ms: Some(Distribution::Constant(5_000.0)), ..quick().behaviour };
    let config = SimConfig { behaviour: slow, ..quick() };
    let place = Place::new(config, |config| config.concurrency = ConcurrencyLimit::Fixed(3)).await;
    let mut jobs = Vec::new();
    for _ in 0..8 {
        jobs.push(place.submit("llm.embed", json!({"model": "gpt-5", "input": "x"})).await);
        jobs.push(place.submit("llm.chat", chat()).await);
        jobs.push(place.submit("llm.response", json!({"model": "gpt-5", "input": "Why?"})).await);
    }
    for job in jobs {
        let job = end(&place.engine, job).await;
        assert_eq!((job.life.state, job.life.attempt), (State::Completed, 1));
    }
    assert_eq!(place.simulator.ledger().dialects[&Dialect::Openai].under_way_peak, 3);
}
