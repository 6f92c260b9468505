//! Pictures, by simulated queues.

use std::collections::BTreeMap;
use std::time::Duration;

use raincheck_blob::{Blobs, FileId, Wanted};
use raincheck_core::{EventBody, EventType, Job, Outcome, ProblemType, State, Tenant, Time};
use raincheck_engine::{Engine, Registry};
use raincheck_kinds::ImageGenerate;
use raincheck_simulator::{
    Behaviour, Dialect, Distribution, Fault, FaultKind, FaultRule, On, RetryAfter, SimConfig, Simulator,
};
use raincheck_upstream::{Egress, OnAmbiguous, Protocol, UpstreamConfig, Upstreams};
use serde_json::{Value, json};

use crate::support::{end, end_within, engine, log, submit, submit_with};

const FLUX: &str = "fal-ai/flux/dev";
const HOUR: Duration = Duration::from_secs(3_600);

struct Place {
    simulator: Simulator,
    engine: Engine,
    blobs: Blobs,
    _directory: tempfile::TempDir,
}

impl Place {
    async fn new(call_ms: f64) -> Self {
        Self::with(call_ms, |_| ()).await
    }

    async fn with(call_ms: f64, change: impl Fn(&mut UpstreamConfig)) -> Self {
        let behaviour = Behaviour {
            call_ms: Some(Distribution::Constant(call_ms)),
            queue_ms: Some(Distribution::Constant(100.0)),
            ..Behaviour::default()
        };
        let config = SimConfig { behaviour, ..SimConfig::default() };
        let simulator = Simulator::start(config, "127.0.0.1:0".parse().unwrap()).await.unwrap();
        let upstream = |protocol, dialect, models: &[&str]| {
            let url = simulator.url(dialect).parse().unwrap();
            let models = models.iter().map(ToString::to_string).collect();
            let mut config = UpstreamConfig { models, ..UpstreamConfig::new(protocol, url) };
            change(&mut config);
            config
        };
        let configs = BTreeMap::from([
            ("fal".to_owned(), upstream(Protocol::Fal, Dialect::Fal, &[FLUX])),
            ("openai".to_owned(), upstream(Protocol::Openai, Dialect::Openai, &["gpt-image-1"])),
            ("replicate".to_owned(), upstream(Protocol::Replicate, Dialect::Replicate, &["owner/model"])),
        ]);
        let upstreams = Upstreams::new(configs, &Egress::default(), || raincheck_core::Dice(0)).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(directory.path().into()).unwrap();
        let images = ImageGenerate::new(upstreams).with_files(blobs.clone());
        Self { simulator, engine: engine(Registry::default().with(images)).await, blobs, _directory: directory }
    }

    async fn run(&self, model: &str) -> Job {
        let input = json!({"model": model, "input": {"prompt": "a red chair"}});
        end_within(&self.engine, submit(&self.engine, "image.generate", input).await.unwrap(), HOUR).await
    }
}

fn result(job: &Job) -> Value {
    match &job.outcome {
        Some(Outcome::Completed(result)) => result.parse().unwrap(),
        other => panic!("expected a result, not {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_protocol_gives_its_own_result() {
    let place = Place::new(900.0).await;
    let fal = place.run(FLUX).await;
    assert!(result(&fal)["images"][0]["url"].is_string(), "{:?}", fal.outcome);
    assert!(!messages(&place, &fal).await.is_empty(), "its queue and its logs are the job's progress");
    let replicate = place.run("owner/model").await;
    assert_eq!(result(&replicate)["status"], json!("succeeded"));
    let openai = place.run("gpt-image-1").await;
    assert!(result(&openai)["data"][0].is_object(), "{:?}", openai.outcome);
}

const LINES: [&str; 5] = [
    "0% of the simulated work is done",
    "25% of the simulated work is done",
    "50% of the simulated work is done",
    "75% of the simulated work is done",
    "100% of the simulated work is done",
];

/// What a job was said to be doing.
async fn messages(place: &Place, job: &Job) -> Vec<String> {
    let message = |event: raincheck_core::Event| match event.body {
        EventBody::Progress(progress) => Some(progress.message),
        _ => None,
    };
    log(&place.engine, job.id).await.into_iter().filter_map(message).collect()
}

/// The same, of what its provider said itself.
async fn lines(place: &Place, job: &Job) -> Vec<String> {
    messages(place, job).await.into_iter().filter(|message| message.contains("% of")).collect()
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_picture_is_seen_soon_after_it() {
    for (call_ms, latest) in [(2_400.0, 3_000), (9_900.0, 12_000), (99_900.0, 110_000)] {
        let place = Place::new(call_ms).await;
        for model in [FLUX, "owner/model"] {
            let began = tokio::time::Instant::now();
            let job = place.run(model).await;
            let took = began.elapsed().as_millis();
            assert!(result(&job).is_object() && took <= latest, "{model}, {call_ms} ms: seen after {took} ms");
            let (said, mut once) = (messages(&place, &job).await, messages(&place, &job).await);
            once.dedup();
            assert_eq!(said, once, "what is said again is no news");
        }
    }
}

/// Polls are up to ten seconds apart, and much is said between two of them.
#[tokio::test(start_paused = true)]
async fn every_line_that_a_provider_says_is_told_once_and_in_order() {
    for call_ms in [10.0, 900.0, 100_000.0] {
        let place = Place::new(call_ms).await;
        for model in [FLUX, "owner/model"] {
            let job = place.run(model).await;
            assert_eq!(lines(&place, &job).await, LINES, "{model}, {call_ms} ms");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn lines_are_told_once_over_attempts() {
    let place = Place::new(100_000.0).await;
    for model in [FLUX, "owner/model"] {
        let input = json!({"model": model});
        // An attempt ends in mid-work, and the next finds it again.
        let job = submit_with(&place.engine, "image.generate", input, |wish| {
            wish.timeout = Some(Duration::from_secs(60));
        });
        let job = end_within(&place.engine, job.await.unwrap(), HOUR).await;
        assert_eq!((job.life.state, job.life.attempt), (State::Completed, 2), "{:?}", job.outcome);
        assert_eq!(lines(&place, &job).await, LINES, "{model}");
    }
}

/// That the work is done and its result cannot be fetched just now is no failure of the work.
#[tokio::test(start_paused = true)]
async fn what_is_done_is_fetched_again_and_not_paid_again() {
    let place = Place::new(10.0).await;
    for kind in [FaultKind::Unavailable, FaultKind::ServerError, FaultKind::RateLimited, FaultKind::ResetBefore] {
        for (model, dialect) in [(FLUX, Dialect::Fal), ("owner/model", Dialect::Replicate)] {
            // Every second request that looks after it fails: of FAL's that is the one for the result.
            let rule = |skip| FaultRule { on: On::Poll, skip, calls: Some(1), ..FaultRule::always(Fault::new(kind)) };
            place.simulator.clear_faults();
            place.simulator.add_faults(vec![rule(1), rule(2), rule(4)]).unwrap();
            let before = place.simulator.ledger().dialects.get(&dialect).map_or(0, |tally| tally.executions);
            let job = place.run(model).await;
            assert_eq!(
                (job.life.state, job.life.failures),
                (State::Completed, 0),
                "{model}, {kind:?}: {:?}",
                job.outcome
            );
            assert_eq!(place.simulator.ledger().dialects[&dialect].executions - before, 1, "{model}, {kind:?}");
        }
    }
}

/// Nor is that nothing is heard of it for longer than an attempt waits.
#[tokio::test(start_paused = true)]
async fn what_nothing_is_heard_of_for_long_is_found_again_and_not_paid_again() {
    let place = Place::new(10.0).await;
    let silence = Fault::new(FaultKind::Unavailable);
    for (model, dialect) in [(FLUX, Dialect::Fal), ("owner/model", Dialect::Replicate)] {
        let rule = FaultRule { on: On::Poll, for_ms: Some(400_000), ..FaultRule::always(silence.clone()) };
        place.simulator.clear_faults();
        place.simulator.add_faults(vec![rule]).unwrap();
        let job = place.run(model).await;
        assert_eq!(job.life.state, State::Completed, "{model}: {:?}", job.outcome);
        assert!(job.life.attempt > 1, "{model}");
        assert_eq!(place.simulator.ledger().dialects[&dialect].executions, 1, "{model}");
    }
}

/// From when it was begun, whatever attempt that was in; and the provider is told to stop.
#[tokio::test(start_paused = true)]
async fn work_that_takes_longer_than_it_may_is_stopped_at_the_provider() {
    let place = Place::with(600_000.0, |config| {
        (config.patience.total, config.on_ambiguous) = (Duration::from_secs(90), OnAmbiguous::Fail);
    })
    .await;
    for (model, dialect) in [(FLUX, Dialect::Fal), ("owner/model", Dialect::Replicate)] {
        let began = tokio::time::Instant::now();
        let job = submit_with(&place.engine, "image.generate", json!({"model": model}), |wish| {
            wish.timeout = Some(Duration::from_secs(60));
        });
        let job = end_within(&place.engine, job.await.unwrap(), Duration::from_secs(300)).await;
        let took = began.elapsed().as_secs();
        let Some(Outcome::Failed(problem)) = &job.outcome else { panic!("{:?}", job.outcome) };
        assert!(problem.is(ProblemType::OUTCOME_AMBIGUOUS) && problem.detail.contains("90 s"), "{problem:?}");
        assert!((90..100).contains(&took), "{model}: {took} s");
        let tally = &place.simulator.ledger().dialects[&dialect];
        assert_eq!((tally.executions, tally.cancelled), (1, 1), "{model}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_upstream_takes_is_refused_before_a_job_exists() {
    let place = Place::new(1.0).await;
    for (input, pointer) in [
        (json!({}), "/input"),
        (json!({"model": "nothing"}), "/input/model"),
        (json!({"model": FLUX, "upstream": "nowhere"}), "/input/upstream"),
        (json!({"model": FLUX, "prompt": "x"}), "/input/prompt"),
    ] {
        let problem = submit(&place.engine, "image.generate", input.clone()).await.unwrap_err();
        assert_eq!(problem.pointer.as_deref(), Some(pointer), "{input}: {problem:?}");
    }
    // With what there is, of the protocol that came nearest.
    for (input, told) in [
        (json!({"model": "nothing"}), format!("there are: {FLUX} (fal)")),
        (json!({"model": "nothing", "upstream": "replicate"}), "it takes owner/model".to_owned()),
    ] {
        let problem = submit(&place.engine, "image.generate", input).await.unwrap_err();
        assert!(problem.detail.ends_with(&told), "{problem:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn work_that_fails_ends_the_job_with_the_providers_words() {
    let place = Place::new(10.0).await;
    let fault = Fault {
        kind: FaultKind::ContentPolicy,
        status: None,
        retry_after: RetryAfter::None,
        wait_ms: None,
        after_tokens: 1,
    };
    place.simulator.add_faults(vec![FaultRule::always(fault)]).unwrap();
    let job = place.run(FLUX).await;
    let Some(Outcome::Failed(problem)) = &job.outcome else { panic!("{:?}", job.outcome) };
    assert!(problem.is(ProblemType::UPSTREAM_REFUSED) && problem.upstream_status.is_some(), "{problem:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn cancel_reaches_the_providers_queue() {
    let place = Place::new(60_000.0).await;
    let job = submit(&place.engine, "image.generate", json!({"model": FLUX})).await.unwrap();
    let is_recorded =
        async || log(&place.engine, job).await.iter().any(|event| event.body.event_type() == EventType::Step);
    while !is_recorded().await {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    place.engine.cancel(job, None, None).await.unwrap();
    assert_eq!(end(&place.engine, job).await.life.state, State::Cancelled);
    assert_eq!(place.simulator.ledger().dialects[&Dialect::Fal].cancelled, 1);
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_takes_nothing_is_left_alone_and_its_jobs_wait() {
    let place = Place::new(10.0).await;
    let fault = Fault::new(FaultKind::Unavailable);
    place.simulator.add_faults(vec![FaultRule { for_ms: Some(60_000), ..FaultRule::always(fault) }]).unwrap();
    let mut jobs = Vec::new();
    for number in 0..60 {
        let model = if number % 2 == 0 { FLUX } else { "owner/model" };
        jobs.push(submit(&place.engine, "image.generate", json!({"model": model})).await.unwrap());
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    for dialect in [Dialect::Fal, Dialect::Replicate] {
        let calls = place.simulator.ledger().dialects[&dialect].received;
        assert!(calls <= 36, "{calls} calls of {dialect:?} for 30 jobs");
    }
    for job in jobs {
        assert_eq!(end(&place.engine, job).await.life.state, State::Completed);
    }
}

#[tokio::test(start_paused = true)]
async fn work_that_a_provider_took_and_could_not_do_is_begun_anew() {
    let place = Place::new(10.0).await;
    for (model, dialect) in [(FLUX, Dialect::Fal), ("owner/model", Dialect::Replicate)] {
        let fault = Fault::new(FaultKind::Fails);
        place.simulator.add_faults(vec![FaultRule { calls: Some(2), ..FaultRule::always(fault) }]).unwrap();
        let job = place.run(model).await;
        assert_eq!((job.life.state, job.life.failures), (State::Completed, 2), "{:?}", job.outcome);
        assert_eq!(place.simulator.ledger().dialects[&dialect].executions, 3);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_the_tenant_goes_along_as_a_data_address() {
    let place = Place::new(10.0).await;
    let file = |tenant: &str, number: u64| Wanted {
        id: FileId::new(Time::EPOCH, number),
        tenant: tenant.parse().unwrap(),
        filename: "room.gif".into(),
        purpose: "vision".into(),
        created_at: Time::EPOCH,
    };
    let mut ids = Vec::new();
    for (tenant, number) in [(Tenant::default().as_str(), 1), ("other", 2)] {
        let mut upload = place.blobs.begin(file(tenant, number), 100).await.unwrap();
        upload.write(b"GIF89a\x01\0\x01\0\0\0").await.unwrap();
        ids.push(upload.finish().await.unwrap().id.clone());
    }
    let input = |id: &FileId| json!({"model": FLUX, "input": {"prompt": "red", "image_url": {"file_id": id}, "note": {"file_id": "mine"}}});
    let job = end(&place.engine, submit(&place.engine, "image.generate", input(&ids[0])).await.unwrap()).await;
    assert!(result(&job)["images"][0]["url"].is_string());
    let asked = place.simulator.requests(0);
    let sent = r#""image_url":"data:image/gif;base64,R0lGODlhAQABAAAA","note":{"file_id":"mine"}"#;
    assert!(asked.iter().any(|asked| asked.body.contains(sent)), "{asked:?}");
    let theirs = submit(&place.engine, "image.generate", input(&ids[1])).await.unwrap_err();
    assert_eq!(theirs.pointer.as_deref(), Some("/input/input/image_url/file_id"), "{theirs:?}");
}
