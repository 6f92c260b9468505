//! Files that a call names: brought to its upstream first, each content once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use raincheck_blob::{About, Blobs, FileId, Wanted};
use raincheck_core::{EventBody, Job, JobId, Json, Outcome, Problem, ProblemType, State, Tenant, Time};
use raincheck_engine::{Engine, Registry, Submission, SubmitError, SystemClock};
use raincheck_kinds::{Batch, Courier, Llm};
use raincheck_simulator::{Dialect, Distribution, Fault, FaultKind, FaultRule, On, RetryAfter, SimConfig, Simulator};
use raincheck_upstream::{Egress, Protocol, Secret, UpstreamConfig, Upstreams};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::AsyncReadExt;

use crate::llm::quick;
use crate::support::{end, engine, log};

/// Where the simulator takes files.
const FILES: &str = "/openai/v1/files";

/// A simulated provider, known as `one` and, with another account, as `two`; files of tenants; and an engine.
struct Place {
    simulator: Simulator,
    engine: Engine,
    blobs: Blobs,
    _directory: TempDir,
}

impl Place {
    async fn new(config: SimConfig, change: impl Fn(&mut UpstreamConfig)) -> Self {
        let simulator = Simulator::start(config, "127.0.0.1:0".parse().unwrap()).await.unwrap();
        let upstream = |protocol: Protocol, dialect: Dialect, key: &str| {
            let url = simulator.url(dialect).trim_end_matches("/anthropic/v1").to_owned();
            let mut config = UpstreamConfig::new(protocol, url.parse().unwrap());
            config.api_key = Some(Secret::new(key.to_owned()));
            change(&mut config);
            config
        };
        let mut one = upstream(Protocol::Openai, Dialect::Openai, "k1");
        one.fallback = vec!["two:other".to_owned()];
        let configs = BTreeMap::from([
            ("claude".to_owned(), upstream(Protocol::Anthropic, Dialect::Anthropic, "k3")),
            ("one".to_owned(), one),
            ("two".to_owned(), upstream(Protocol::Openai, Dialect::Openai, "k2")),
        ]);
        let upstreams = Upstreams::new(configs, &Egress::default(), || raincheck_core::Dice(0)).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(directory.path().into()).unwrap();
        let courier = Courier::new(blobs.clone(), upstreams.clone(), Arc::new(SystemClock));
        let kinds = [Llm::response, Llm::chat, Llm::message];
        let kinds = kinds.into_iter().map(|kind| kind(upstreams.clone()).with_files(courier.clone()));
        let registry = kinds.fold(Registry::default(), Registry::with);
        let registry = registry.with(Batch::by(blobs.clone(), upstreams.clone()).unwrap());
        Self { simulator, engine: engine(registry).await, blobs, _directory: directory }
    }

    async fn quick() -> Self {
        Self::new(quick(), |_| {}).await
    }

    async fn file(&self, tenant: &str, number: u64, content: &[u8]) -> Arc<About> {
        let wanted = Wanted {
            id: FileId::new(Time::EPOCH, number),
            tenant: tenant.parse().unwrap(),
            filename: "scores.pdf".into(),
            purpose: "user_data".into(),
            created_at: Time::EPOCH,
        };
        let mut upload = self.blobs.begin(wanted, 1 << 30).await.unwrap();
        upload.write(content).await.unwrap();
        upload.finish().await.unwrap()
    }

    async fn submit(&self, kind: &str, input: Value) -> Result<JobId, Problem> {
        let tenant: Tenant = "voice".parse().unwrap();
        let submission = Submission { tenant, ..Submission::new(kind.parse().unwrap(), Json::from(input)) };
        match self.engine.submit(vec![submission]).await {
            Ok(mut answers) => Ok(answers.remove(0).unwrap().job().id),
            Err((_, SubmitError::Refused(problem))) => Err(problem),
            Err(other) => panic!("{other:?}"),
        }
    }

    async fn run(&self, input: Value) -> Job {
        end(&self.engine, self.submit("llm.response", input).await.unwrap()).await
    }

    fn fault(&self, model: &str, kind: FaultKind, change: impl FnOnce(&mut FaultRule)) {
        let mut rule = FaultRule { model: Some(model.into()), ..FaultRule::always(Fault::new(kind)) };
        change(&mut rule);
        self.simulator.add_faults(vec![rule]).unwrap();
    }

    /// Files that the provider has taken, and calls that it has begun.
    fn ledger(&self) -> (u64, u64) {
        let total = self.simulator.ledger().total;
        (total.uploads, total.executions)
    }
}

/// A question about a file.
fn about(id: &str) -> Value {
    let content = json!([{ "type": "input_text", "text": "Score it." }, { "type": "input_file", "file_id": id }]);
    json!({ "model": "scorer", "upstream": "one", "input": [{ "role": "user", "content": content }] })
}

fn problem(job: &Job) -> &Problem {
    let Some(Outcome::Failed(problem)) = &job.outcome else { panic!("{job:?}") };
    problem
}

async fn messages(place: &Place, job: &Job) -> Vec<String> {
    let events = log(&place.engine, job.id).await.into_iter();
    let progress = events.filter_map(|event| match event.body {
        EventBody::Progress(progress) => Some(progress.message),
        _ => None,
    });
    progress.collect()
}

#[tokio::test]
async fn jobs_that_need_a_file_at_the_same_time_have_it_uploaded_once() {
    let mut config = quick();
    config.behaviour.upload_ms = Some(Distribution::Constant(300.0));
    let place = Place::new(config, |_| {}).await;
    // More than is read at once, and with what looks like the end of a form in it.
    let content = "\r\n--raincheck-\r\n--".repeat(20_000);
    let file = place.file("voice", 1, content.as_bytes()).await;
    let same = place.file("voice", 2, content.as_bytes()).await;
    let ids = [file.id.as_str(), same.id.as_str()].repeat(4);
    let jobs = futures_util::future::join_all(ids.into_iter().map(|id| place.run(about(id)))).await;
    for job in &jobs {
        assert_eq!(job.life.state, State::Completed, "{job:?}");
    }
    assert_eq!(place.ledger(), (1, 8));
    let request = place.simulator.requests(0).into_iter().find(|request| request.path == FILES).unwrap();
    assert!(request.body_bytes > content.len(), "{request:?}");
    for part in [
        "name=\"purpose\"\r\n\r\nuser_data\r\n",
        "filename=\"scores.pdf\"",
        "name=\"expires_after[seconds]\"\r\n\r\n604800",
    ] {
        assert!(request.body.contains(part), "{part}: {}", request.body);
    }
    let all = futures_util::future::join_all(jobs.iter().map(|job| messages(&place, job))).await.concat();
    for message in ["Uploading scores.pdf to one", "Uploading scores.pdf to one, 100 %", "Asking scorer at one"] {
        assert!(all.iter().any(|told| told == message), "{message}: {all:?}");
    }
}

#[tokio::test]
async fn the_upstream_is_given_the_bytes() {
    let place = Place::quick().await;
    let content: Vec<u8> = (0..300_000_u32).map(|place| (place % 251) as u8).collect();
    let file = place.file("voice", 1, &content).await;
    let job = place.run(about(file.id.as_str())).await;
    assert_eq!(job.life.state, State::Completed, "{job:?}");
    let steps = place.engine.store().steps(job.id).await.unwrap();
    assert_eq!(steps[0].name, format!("{} at one", file.id));
    let sent: Value = steps[0].result.parse().unwrap();
    assert_eq!((&sent["filename"], &sent["bytes"]), (&json!("scores.pdf"), &json!(300_000)));
    assert_eq!(place.simulator.file(sent["id"].as_str().unwrap()).unwrap(), content);
}

#[tokio::test]
async fn a_call_that_is_made_again_finds_its_file_there() {
    let place = Place::quick().await;
    let file = place.file("voice", 1, b"abc").await;
    place.fault("scorer", FaultKind::ServerError, |rule| rule.calls = Some(1));
    let job = place.run(about(file.id.as_str())).await;
    assert_eq!((job.life.state, job.life.attempt), (State::Completed, 2), "{job:?}");
    assert_eq!(place.ledger(), (1, 1));
}

#[tokio::test]
async fn an_upload_that_fails_is_made_again() {
    let place = Place::quick().await;
    let file = place.file("voice", 1, b"abc").await;
    place.fault("files", FaultKind::Unavailable, |rule| (rule.on, rule.calls) = (On::Any, Some(1)));
    let job = place.run(about(file.id.as_str())).await;
    assert_eq!((job.life.state, job.life.attempt), (State::Completed, 2), "{job:?}");
    assert_eq!(place.ledger(), (1, 1));
}

#[tokio::test]
async fn who_needs_a_file_does_not_stand_in_line_for_an_upstream_that_takes_none() {
    let place = Place::quick().await;
    let file = place.file("voice", 1, b"abc").await;
    place.fault("files", FaultKind::RateLimited, |rule| {
        (rule.on, rule.calls) = (On::Any, Some(1));
        (rule.fault.retry_after, rule.fault.wait_ms) = (RetryAfter::Seconds, Some(5_000));
    });
    let jobs = futures_util::future::join_all((0..6).map(|_| place.run(about(file.id.as_str())))).await;
    for job in &jobs {
        assert_eq!((job.life.state, job.life.failures), (State::Completed, 0), "{job:?}");
        let events = log(&place.engine, job.id).await;
        for pair in events.windows(2).filter(|pair| matches!(pair[1].body, EventBody::Postponed(..))) {
            let held = pair[1].at.since(pair[0].at);
            assert!(held < Duration::from_millis(1_500), "it was kept for {held:?}: {events:?}");
        }
    }
    assert_eq!(place.ledger(), (1, 6));
}

#[tokio::test]
async fn a_file_that_is_not_taken_is_the_reason_told_and_no_call_is_made() {
    let place = Place::quick().await;
    let file = place.file("voice", 1, b"abc").await;
    place.fault("files", FaultKind::Status, |rule| (rule.on, rule.fault.status) = (On::Any, Some(413)));
    let job = place.run(about(file.id.as_str())).await;
    assert!(problem(&job).is(ProblemType::UPSTREAM_REFUSED), "{job:?}");
    assert!(problem(&job).detail.starts_with("the file scores.pdf: one answered 413"), "{job:?}");
    assert_eq!(place.ledger(), (0, 0));
}

#[tokio::test]
async fn a_file_that_the_upstream_has_lost_is_uploaded_anew() {
    let place = Place::quick().await;
    let file = place.file("voice", 1, b"abc").await;
    place.run(about(file.id.as_str())).await;
    place.simulator.forget_files();
    let job = place.run(about(file.id.as_str())).await;
    assert_eq!((job.life.state, job.life.attempt), (State::Completed, 1), "{job:?}");
    assert_eq!(place.ledger(), (2, 2));
    // A refusal for any other reason is what it is.
    place.fault("scorer", FaultKind::Status, |rule| rule.fault.status = Some(400));
    let job = place.run(about(file.id.as_str())).await;
    assert_eq!((problem(&job).upstream_status, place.ledger()), (Some(400), (2, 2)), "{job:?}");
}

#[tokio::test]
async fn a_copy_that_may_be_forgotten_soon_is_not_relied_on() {
    let short = |config: &mut UpstreamConfig| config.files_expire_after = Some(Duration::from_secs(60));
    let place = Place::new(quick(), short).await;
    let file = place.file("voice", 1, b"abc").await;
    for uploads in 1..=2 {
        place.run(about(file.id.as_str())).await;
        assert_eq!(place.ledger(), (uploads, uploads));
    }
}

#[tokio::test]
async fn whoever_is_called_instead_is_given_the_file_too() {
    let place = Place::quick().await;
    let file = place.file("voice", 1, b"abc").await;
    place.fault("scorer", FaultKind::ContentPolicy, |_| {});
    let job = place.run(about(file.id.as_str())).await;
    assert_eq!(job.life.state, State::Completed, "{job:?}");
    assert_eq!(place.ledger(), (2, 1));
    let steps = place.engine.store().steps(job.id).await.unwrap();
    let names: Vec<&str> = steps.iter().map(|step| step.name.as_str()).collect();
    assert_eq!(names, [format!("{} at one", file.id), format!("{} at two", file.id), "served".to_owned()]);
}

#[tokio::test]
async fn a_file_that_is_not_there_is_refused_before_a_job_exists() {
    let place = Place::quick().await;
    let theirs = place.file("other", 1, b"abc").await;
    let nobodys = FileId::new(Time::EPOCH, 9);
    for id in [&theirs.id, &nobodys] {
        let refused = place.submit("llm.response", about(id.as_str())).await.unwrap_err();
        assert!(refused.is(ProblemType::INVALID_INPUT), "{refused:?}");
        assert_eq!(refused.pointer.as_deref(), Some("/input/input/0/content/1/file_id"));
        assert!(refused.detail.starts_with(&format!("there is no file {id}; upload it first")), "{refused:?}");
    }
    let mine = place.file("voice", 2, b"abc").await;
    let message = json!({ "model": "claude", "max_tokens": 9, "messages": [{ "role": "user", "content": [
        { "type": "document", "source": { "type": "file", "file_id": mine.id } },
    ] }] });
    let refused = place.submit("llm.message", message).await.unwrap_err();
    assert!(refused.detail.contains("such go to Anthropic as pictures alone"), "{refused:?}");
    assert_eq!(refused.pointer.as_deref(), Some("/input/messages/0/content/0/source/file_id"));
    assert_eq!(place.ledger(), (0, 0));
}

#[tokio::test]
async fn a_picture_goes_to_anthropic_inside_the_message() {
    let place = Place::quick().await;
    let message = |id: &FileId| {
        json!({ "model": "claude", "max_tokens": 9, "messages": [{ "role": "user", "content": [
            { "type": "image", "source": { "type": "file", "file_id": id } }, { "type": "text", "text": "What is it?" },
        ] }] })
    };
    let picture = place.file("voice", 1, b"GIF89a\x01\0\x01\0\0\0").await;
    let job = place.submit("llm.message", message(&picture.id)).await.unwrap();
    assert_eq!(end(&place.engine, job).await.life.state, State::Completed);
    let sent = r#"{"data":"R0lGODlhAQABAAAA","media_type":"image/gif","type":"base64"}"#;
    let asked = place.simulator.requests(0);
    assert!(asked.iter().any(|asked| asked.body.contains(sent)), "{asked:?}");

    let words = place.file("voice", 2, b"abc").await;
    let job = place.submit("llm.message", message(&words.id)).await.unwrap();
    assert!(problem(&end(&place.engine, job).await).detail.ends_with("is no picture"));
    let theirs = place.file("other", 3, b"GIF89a").await;
    let refused = place.submit("llm.message", message(&theirs.id)).await.unwrap_err();
    assert!(refused.detail.starts_with("there is no file"), "{refused:?}");
}

#[tokio::test]
async fn an_upload_and_a_call_may_both_take_their_time() {
    let place = Place::new(quick(), |upstream| upstream.patience.total = Duration::from_secs(30 * 60)).await;
    let (about, _) = place.engine.registry().get(&"llm.response".parse().unwrap()).unwrap();
    assert_eq!(about.timeout, Duration::from_secs(60 * 60));
}

#[tokio::test]
async fn ids_that_are_not_ours_go_through_as_they_are() {
    let place = Place::quick().await;
    // The provider has no such file, and says so.
    let job = place.run(about("file-6F2ksmvXxt4VdoqmHRw6kL")).await;
    assert!(problem(&job).detail.contains("file-6F2ksmvXxt4VdoqmHRw6kL"), "{job:?}");
    assert_eq!(place.ledger(), (0, 0));
}

#[tokio::test]
async fn a_line_of_a_batch_that_names_a_file_is_told_so() {
    let place = Place::quick().await;
    let file = place.file("voice", 1, b"abc").await;
    let line = json!({ "custom_id": "a", "method": "POST", "url": "/v1/responses", "body": about(file.id.as_str()) });
    let lines = place.file("voice", 2, line.to_string().as_bytes()).await;
    let input = json!({ "endpoint": "/v1/responses", "input_file_id": lines.id });
    let job = end(&place.engine, place.submit("llm.batch", input).await.unwrap()).await;
    let Some(Outcome::Completed(result)) = &job.outcome else { panic!("{job:?}") };
    let result: Value = result.parse().unwrap();
    assert_eq!(result["request_counts"]["failed"], 1);
    let errors: FileId = result["error_file_id"].as_str().unwrap().parse().unwrap();
    let errors = place.blobs.get(&"voice".parse().unwrap(), &errors).unwrap();
    let mut text = String::new();
    place.blobs.read(&errors).await.unwrap().read_to_string(&mut text).await.unwrap();
    assert!(text.contains("file_not_sent"), "{text}");
    assert_eq!(place.ledger(), (0, 0));
}
