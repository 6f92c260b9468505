use std::path::Path;

use raincheck_audio::fixtures::{Plan, bad_files, library};
use raincheck_core::{EventBody, Job, Outcome, ProblemType, State};
use raincheck_engine::{Blocking, Engine, Registry};
use raincheck_kinds::{AudioScan, JobFiles};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{end, engine, log, submit};

/// A server's directories and the engine that scans them.
struct Place {
    directory: TempDir,
    engine: Engine,
    files: JobFiles,
}

impl Place {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (root, data) = (directory.path().join("library"), directory.path().join("data"));
        std::fs::create_dir_all(&root).unwrap();
        let files = JobFiles::open(&data).unwrap();
        let handler = AudioScan::new(vec![root], &data, files.clone()).unwrap();
        let engine = engine(Registry::default().with(Blocking::new(handler))).await;
        Self { directory, engine, files }
    }

    fn library(&self) -> std::path::PathBuf {
        self.directory.path().join("library")
    }

    async fn scan(&self, more: Value) -> Job {
        let mut input = json!({ "path": self.library() });
        input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        end(&self.engine, submit(&self.engine, "audio.scan", input).await.unwrap()).await
    }

    fn manifest(&self, job: &Job) -> String {
        std::fs::read_to_string(self.files.root().join(job.id.to_string()).join("manifest.jsonl")).unwrap()
    }
}

fn result(job: &Job) -> Value {
    match &job.outcome {
        Some(Outcome::Completed(result)) => result.parse().unwrap(),
        other => panic!("expected a result, not {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_library_is_scanned_with_true_counts_and_a_later_scan_reads_only_what_changed() {
    let place = Place::new().await;
    let made = library(&place.library(), &Plan { shortest_ms: 100, longest_ms: 300, ..Plan::new(60) }).unwrap();
    let first = place.scan(json!({ "tier": "full", "exports": ["nemo"] })).await;
    let found = result(&first);
    assert_eq!((&found["files"], &found["errors"], &found["reused"]), (&json!(60), &json!(0), &json!(0)));
    assert_eq!(found["speakers"]["count"], json!(made.speakers));
    assert_eq!(place.manifest(&first).lines().count(), 60);
    assert_eq!(found["downloads"], json!(["manifest.jsonl", "nemo.jsonl"]));
    for event in log(&place.engine, first.id).await {
        if let EventBody::Progress(progress) = event.body {
            let (current, total) = (progress.current.unwrap(), progress.total.unwrap());
            assert_eq!(progress.message, format!("Processing file {current}/{total}"));
            assert!(current <= total && total <= 60);
        }
    }
    let second = place.scan(json!({ "tier": "full" })).await;
    assert_eq!(result(&second)["reused"], json!(60));
    let fresh = place.scan(json!({ "tier": "full", "fresh": true })).await;
    assert_eq!(result(&fresh)["reused"], json!(0));
    assert_eq!(place.manifest(&first), place.manifest(&fresh), "each job keeps the manifest that it made");
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_files_are_counted_and_the_scan_goes_on() {
    let place = Place::new().await;
    let bad = bad_files(&place.library()).unwrap();
    let found = result(&place.scan(json!({ "tier": "full" })).await);
    assert!(found["files"].as_u64().unwrap() >= 20 && bad.len() >= 20, "{found:#}");
    for code in ["truncated", "empty", "not_wav", "invalid_header"] {
        assert!(found["issues"][code].as_u64().unwrap_or(0) > 0, "no {code} among {}", found["issues"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_scans_of_one_directory_at_once_both_come_to_a_result() {
    let place = Place::new().await;
    library(&place.library(), &Plan::new(40)).unwrap();
    let (first, second) = tokio::join!(place.scan(json!({ "tier": "full" })), place.scan(json!({ "tier": "full" })));
    assert_eq!(result(&first)["files"], result(&second)["files"]);
    assert_eq!((first.life.state, first.life.failures, second.life.failures), (State::Completed, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_scan_leaves_what_it_found_in_the_log() {
    let place = Place::new().await;
    library(&place.library(), &Plan { shortest_ms: 5_000, ..Plan::new(200) }).unwrap();
    let input = json!({ "path": place.library(), "tier": "full" });
    let job = submit(&place.engine, "audio.scan", input).await.unwrap();
    let mut reader = place.engine.follow(job, None, 2).await.unwrap().unwrap();
    reader.next().await.unwrap();
    let asked = std::time::Duration::from_secs(1);
    place.engine.cancel(job, None, None).await.unwrap();
    let ended = place.engine.wait(job, None, asked).await.unwrap().unwrap();
    assert_eq!(ended.life.state, State::Cancelled, "within a second");
    let log = log(&place.engine, job).await;
    let partial = log.iter().find_map(|event| match &event.body {
        EventBody::Output(output) => Some(output.parse::<Value>().unwrap()),
        _ => None,
    });
    assert_eq!(partial.unwrap()["is_partial"], json!(true));
}

#[tokio::test]
async fn a_path_that_cannot_be_scanned_is_refused_before_a_job_exists() {
    let place = Place::new().await;
    std::fs::write(place.library().join("file.wav"), "x").unwrap();
    let inside = |name: &str| place.library().join(name).to_string_lossy().into_owned();
    let cases = [
        (json!({ "path": inside("missing") }), ProblemType::PATH_NOT_FOUND, "/input/path"),
        (json!({ "path": inside("file.wav") }), ProblemType::PATH_UNUSABLE, "/input/path"),
        (json!({ "path": inside("../data") }), ProblemType::PATH_FORBIDDEN, "/input/path"),
        (json!({ "path": "relative" }), ProblemType::INVALID_INPUT, "/input/path"),
        (json!({ "path": "" }), ProblemType::INVALID_INPUT, "/input/path"),
        (json!({ "path": 7 }), ProblemType::INVALID_INPUT, "/input/path"),
        (json!({ "path": inside(""), "tier": "huge" }), ProblemType::INVALID_INPUT, "/input/tier"),
        (json!({ "path": inside(""), "pat": 1 }), ProblemType::INVALID_INPUT, "/input/pat"),
        (json!({}), ProblemType::INVALID_INPUT, "/input"),
        (json!("x"), ProblemType::INVALID_INPUT, "/input"),
    ];
    for (input, expected, pointer) in cases {
        let problem = submit(&place.engine, "audio.scan", input.clone()).await.unwrap_err();
        assert!(problem.is(expected), "{input}: {problem:?}");
        assert_eq!(problem.pointer.as_deref(), Some(pointer), "{input}: {problem:?}");
    }
    let missing = submit(&place.engine, "audio.scan", json!({ "path": inside("missing") })).await.unwrap_err();
    assert!(missing.title == "Path not found" && missing.detail.starts_with("Path not found"), "{missing:?}");
    assert_eq!(place.engine.store().waiting(), 0);
    assert!(Path::new(&inside("file.wav")).exists());
}
