//! Calls that must not be made twice are not, whatever ends the attempt that made them; and others are.

use std::collections::BTreeMap;
use std::time::Duration;

use raincheck_blob::{Blobs, FileId, Wanted};
use raincheck_core::{EventBody, Job, Outcome, ProblemType, State, Time};
use raincheck_engine::{Engine, Registry};
use raincheck_kinds::{Batch, HttpRequest, ImageGenerate, Llm, MessageBatch};
use raincheck_simulator::{Behaviour, Dialect, Distribution, Fault, FaultKind, FaultRule, SimConfig, Simulator};
use raincheck_upstream::{Egress, OnAmbiguous, Protocol, UpstreamConfig, Upstreams};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{end, engine, log, submit_with};

struct Place {
    simulator: Simulator,
    engine: Engine,
    blobs: Blobs,
    _directory: TempDir,
}

impl Place {
    /// Calls take as long as `call_ms`. There are upstreams of every protocol, each under its name.
    async fn new(call_ms: f64, change: impl Fn(&mut UpstreamConfig)) -> Self {
        let behaviour = Behaviour {
            call_ms: Some(Distribution::Constant(call_ms)),
            queue_ms: Some(Distribution::Constant(1.0)),
            ..Behaviour::default()
        };
        let config = SimConfig { behaviour, ..SimConfig::default() };
        let simulator = Simulator::start(config, "127.0.0.1:0".parse().unwrap()).await.unwrap();
        let upstream = |(name, protocol, dialect): (&str, _, _)| {
            let mut config = UpstreamConfig::new(protocol, simulator.url(dialect).parse().unwrap());
            change(&mut config);
            (name.to_owned(), config)
        };
        let upstreams = [
            ("openai", Protocol::Openai, Dialect::Openai),
            ("anthropic", Protocol::Anthropic, Dialect::Anthropic),
            ("fal", Protocol::Fal, Dialect::Fal),
            ("replicate", Protocol::Replicate, Dialect::Replicate),
            ("http", Protocol::Http, Dialect::Http),
        ];
        let configs: BTreeMap<_, _> = upstreams.into_iter().map(upstream).collect();
        let upstreams = Upstreams::new(configs, &Egress::default(), || raincheck_core::Dice(0)).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(directory.path().to_owned()).unwrap();
        let registry = Registry::default()
            .with(Llm::response(upstreams.clone()))
            .with(Llm::chat(upstreams.clone()))
            .with(Llm::message(upstreams.clone()))
            .with(HttpRequest::new(upstreams.clone()))
            .with(ImageGenerate::new(upstreams.clone()))
            .with(MessageBatch::by(upstreams.clone()))
            .with(Batch::by(blobs.clone(), upstreams).unwrap());
        Self { simulator, engine: engine(registry).await, blobs, _directory: directory }
    }

    /// A file of one call.
    async fn file(&self, body: &Value) -> FileId {
        let line = json!({"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": body});
        let line = line.to_string();
        let wanted = Wanted {
            id: FileId::new(Time::EPOCH, line.len() as u64),
            tenant: "default".parse().unwrap(),
            filename: "in.jsonl".into(),
            purpose: "batch".into(),
            created_at: Time::EPOCH,
        };
        let mut upload = self.blobs.begin(wanted, 1 << 20).await.unwrap();
        upload.write(line.as_bytes()).await.unwrap();
        upload.finish().await.unwrap().id.clone()
    }

    /// The input of each kind that makes calls, with what is said of ambiguity.
    async fn inputs(&self, on_ambiguous: Option<&str>) -> Vec<(&'static str, Value)> {
        let with = |mut input: Value| {
            if let Some(policy) = on_ambiguous {
                input["on_ambiguous"] = policy.into();
            }
            input
        };
        let message = || with(json!({"model": "claude", "max_tokens": 9, "messages": []}));
        let line = with(json!({"model": "gpt-5", "messages": [], "upstream": "openai"}));
        let file = self.file(&line).await;
        vec![
            ("llm.response", with(json!({"model": "gpt-5", "input": "Why?"}))),
            ("llm.chat", with(json!({"model": "gpt-5", "messages": []}))),
            ("llm.message", message()),
            ("http.request", with(json!({"upstream": "http", "path": "/score", "body": {"n": 1}}))),
            (
                "image.generate",
                with(json!({"upstream": "openai", "model": "gpt-image-1", "input": {"prompt": "a fox"}})),
            ),
            ("llm.message_batch", json!({"requests": [{"custom_id": "a", "params": message()}]})),
            ("llm.batch", json!({"endpoint": "/v1/chat/completions", "input_file_id": file})),
        ]
    }

    /// Runs a job whose attempts may take so long.
    async fn run(&self, kind: &str, input: Value, timeout: Duration) -> Job {
        let job = submit_with(&self.engine, kind, input, |wish| {
            (wish.timeout, wish.max_attempts) = (Some(timeout), Some(3));
        });
        end(&self.engine, job.await.unwrap()).await
    }

    /// Whether the job, or its only part, failed because it may have been done.
    async fn is_ambiguous(&self, kind: &str, job: &Job) -> bool {
        match (kind, &job.outcome) {
            ("llm.message_batch", Some(Outcome::Completed(_))) => {
                let log = log(&self.engine, job.id).await;
                log.iter().any(|event| match &event.body {
                    EventBody::Step(step) => {
                        step.name == "request:a" && step.result.as_str().contains("whether it was done")
                    }
                    _ => false,
                })
            }
            ("llm.batch", Some(Outcome::Completed(_))) => {
                let id = FileId::of_job(job.id, "error");
                let Some(about) = self.blobs.get(&"default".parse().unwrap(), &id) else { return false };
                let mut text = String::new();
                let mut file = self.blobs.read(&about).await.unwrap();
                tokio::io::AsyncReadExt::read_to_string(&mut file, &mut text).await.unwrap();
                text.contains("outcome_ambiguous")
            }
            (_, Some(Outcome::Failed(problem))) => problem.is(ProblemType::OUTCOME_AMBIGUOUS),
            _ => false,
        }
    }

    fn executions(&self) -> u64 {
        self.simulator.ledger().total.executions
    }

    fn fault(&self, kind: FaultKind, calls: u64) {
        self.simulator.clear_faults();
        let rule = FaultRule { calls: Some(calls), ..FaultRule::always(Fault::new(kind)) };
        self.simulator.add_faults(vec![rule]).unwrap();
    }
}

const LONG: Duration = Duration::from_secs(600);

/// The attempt is given up, and costs no lease: that the call was sent is known all the same.
#[tokio::test(start_paused = true)]
async fn an_attempt_that_takes_too_long_is_not_followed_by_another_call() {
    for (policy, of_upstream) in [(Some("fail"), OnAmbiguous::Retry), (None, OnAmbiguous::Fail)] {
        let place = Place::new(60_000.0, |config| config.on_ambiguous = of_upstream).await;
        for (kind, input) in place.inputs(policy).await {
            let before = place.executions();
            let job = place.run(kind, input, Duration::from_secs(20)).await;
            assert!(place.is_ambiguous(kind, &job).await, "{kind}: {job:?}");
            assert_eq!((place.executions() - before, job.life.attempt), (1, 2), "{kind}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_lost_is_not_asked_for_again_if_so_wished_and_is_otherwise() {
    let place = Place::new(10.0, |_| ()).await;
    for (policy, executions) in [(Some("fail"), 1), (Some("retry"), 2), (None, 2)] {
        for (kind, input) in place.inputs(policy).await {
            place.fault(FaultKind::LostAnswer, 1);
            let before = place.executions();
            let job = place.run(kind, input, LONG).await;
            assert_eq!(place.executions() - before, executions, "{kind}, {policy:?}: {job:?}");
            assert_eq!(place.is_ambiguous(kind, &job).await, executions == 1, "{kind}, {policy:?}: {job:?}");
        }
    }
}

/// What the upstream refused it did not do: that is tried again as ever.
#[tokio::test(start_paused = true)]
async fn what_was_refused_is_asked_again_and_then_done_once() {
    let place = Place::new(10.0, |config| config.on_ambiguous = OnAmbiguous::Fail).await;
    for fault in [FaultKind::Unavailable, FaultKind::RateLimited, FaultKind::ResetBefore] {
        for (kind, input) in place.inputs(None).await {
            place.fault(fault, 1);
            let before = place.executions();
            let job = place.run(kind, input, LONG).await;
            // That nothing was done before the reset is not to be seen from here.
            if fault == FaultKind::ResetBefore {
                assert!(place.is_ambiguous(kind, &job).await, "{kind}: {job:?}");
            } else {
                assert_eq!(job.life.state, State::Completed, "{kind}, {fault:?}: {:?}", job.outcome);
                assert_eq!(place.executions() - before, 1, "{kind}, {fault:?}");
            }
        }
    }
}

/// Calls that change nothing may be made as often as one likes.
#[tokio::test(start_paused = true)]
async fn what_only_asks_is_asked_again() {
    let place = Place::new(10.0, |config| config.on_ambiguous = OnAmbiguous::Fail).await;
    place.fault(FaultKind::LostAnswer, 1);
    let job = place.run("http.request", json!({"upstream": "http", "method": "GET", "path": "/x"}), LONG).await;
    assert_eq!((job.life.state, place.executions()), (State::Completed, 2), "{:?}", job.outcome);
}

/// What an upstream took is known by its name there, and found again under any policy; what it may have taken is not.
#[tokio::test(start_paused = true)]
async fn work_behind_an_id_is_found_again_and_what_has_no_id_is_not_begun_twice() {
    let place = Place::new(30_000.0, |config| config.on_ambiguous = OnAmbiguous::Fail).await;
    for (upstream, model) in [("fal", "fal-ai/flux/dev"), ("replicate", "owner/model")] {
        let input = json!({"upstream": upstream, "model": model});
        let before = place.executions();
        let job = place.run("image.generate", input.clone(), Duration::from_secs(20)).await;
        assert_eq!((job.life.state, job.life.attempt), (State::Completed, 2), "{upstream}: {:?}", job.outcome);
        assert_eq!(place.executions() - before, 1, "{upstream}");
        place.fault(FaultKind::LostAnswer, 1);
        let job = place.run("image.generate", input, LONG).await;
        assert!(place.is_ambiguous("image.generate", &job).await, "{upstream}: {:?}", job.outcome);
        assert_eq!(place.executions() - before, 2, "{upstream}");
    }
}

/// A batch in which nothing may be asked for twice needs room for its marks.
#[tokio::test]
async fn a_batch_with_too_many_marks_is_refused_before_it_exists() {
    let place = Place::new(10.0, |_| ()).await;
    let params = json!({"model": "claude", "max_tokens": 9, "messages": [], "on_ambiguous": "fail"});
    let requests: Vec<Value> =
        (0..2_501).map(|number| json!({"custom_id": format!("r{number}"), "params": params})).collect();
    let refused = submit_with(&place.engine, "llm.message_batch", json!({"requests": requests}), |_| ()).await;
    assert_eq!(refused.unwrap_err().pointer.as_deref(), Some("/input/requests"));
}
