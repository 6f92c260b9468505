//! `llm.batch` with calls that a test makes itself.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use raincheck_blob::{Blobs, FileId, Wanted};
use raincheck_core::{Outcome, Time};
use raincheck_engine::{Clock, Engine, Failure, Registry, SystemClock};
use raincheck_kinds::{Batch, Called, Line, Lines, Marks};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::support::{end, engine, submit};

const URL: &str = "/v1/embeddings";

/// Answers with the line's own number after as many times as it says, and counts.
#[derive(Clone, Default)]
struct Counted {
    calls: Arc<Mutex<BTreeMap<u64, u32>>>,
    gate: Arc<Notify>,
}

impl Counted {
    fn calls(&self, number: u64) -> u32 {
        self.calls.lock().unwrap().get(&number).copied().unwrap_or(0)
    }
}

#[async_trait]
impl Lines for Counted {
    async fn call(&self, line: Line, _: &dyn Marks) -> Result<Called, Failure> {
        let body: Value = line.body.parse().unwrap();
        let number = body["n"].as_u64().unwrap();
        let times = {
            let mut calls = self.calls.lock().unwrap();
            let times = calls.entry(number).or_default();
            *times += 1;
            *times
        };
        let said = body["do"].as_str().unwrap_or_default();
        Ok(match said {
            "refuse" => Called::Answered {
                status: 400,
                request_id: String::new(),
                body: json!({ "error": { "message": "no" } }).into(),
            },
            "fail" => Called::Failed { code: "upstream_failed".into(), message: "it broke off".into() },
            "later" if times == 1 => Called::Later(Duration::from_millis(1)),
            // The attempt dies, as if its server had.
            "die" if times == 1 => {
                tokio::time::sleep(Duration::from_millis(300)).await;
                panic!("as a test wants it")
            }
            "wait" => {
                self.gate.notified().await;
                Called::Answered { status: 200, request_id: String::new(), body: line.body }
            }
            _ => Called::Answered { status: 200, request_id: "req_1".into(), body: line.body },
        })
    }
}

fn line(number: u64, does: &str) -> Value {
    json!({ "custom_id": format!("c{number}"), "method": "POST", "url": URL, "body": { "model": "m", "n": number, "do": does } })
}

struct World {
    engine: Engine,
    blobs: Blobs,
    lines: Counted,
}

async fn world(directory: &Path) -> World {
    let (blobs, lines) = (Blobs::open(directory.to_owned()).unwrap(), Counted::default());
    let engine = engine(Registry::default().with(Batch::new(blobs.clone(), lines.clone()).unwrap())).await;
    World { engine, blobs, lines }
}

impl World {
    async fn file(&self, text: &str) -> FileId {
        let wanted = Wanted {
            id: FileId::new(Time::EPOCH, text.len() as u64),
            tenant: "default".parse().unwrap(),
            filename: "in.jsonl".into(),
            purpose: "batch".into(),
            created_at: Time::EPOCH,
        };
        let mut upload = self.blobs.begin(wanted, 1 << 20).await.unwrap();
        upload.write(text.as_bytes()).await.unwrap();
        upload.finish().await.unwrap().id.clone()
    }

    async fn run(&self, lines: &[Value]) -> raincheck_core::JobId {
        self.run_with(lines, &json!(null)).await
    }

    async fn run_with(&self, lines: &[Value], expiry: &Value) -> raincheck_core::JobId {
        let text: Vec<String> = lines.iter().map(Value::to_string).collect();
        let file = self.file(&text.join("\n")).await;
        let input = json!({
            "endpoint": URL, "input_file_id": file, "completion_window": "24h", "metadata": null,
            "output_expires_after": expiry,
        });
        submit(&self.engine, "llm.batch", input).await.unwrap()
    }

    async fn lines(&self, id: &Value) -> Vec<Value> {
        let id: FileId = id.as_str().unwrap().parse().unwrap();
        let about = self.blobs.get(&"default".parse().unwrap(), &id).unwrap();
        let mut text = String::new();
        let mut file = self.blobs.read(&about).await.unwrap();
        tokio::io::AsyncReadExt::read_to_string(&mut file, &mut text).await.unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn journals(&self) -> usize {
        std::fs::read_dir(self.blobs.root().join(".batches")).unwrap().count()
    }
}

fn result(outcome: Option<Outcome>) -> Value {
    let Some(Outcome::Completed(result)) = outcome else { panic!("{outcome:?}") };
    result.parse().unwrap()
}

fn ids(lines: &[Value]) -> Vec<&str> {
    lines.iter().map(|line| line["custom_id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn every_line_is_answered_and_answers_come_in_the_order_of_lines() {
    let directory = tempfile::tempdir().unwrap();
    let world = world(directory.path()).await;
    let does = ["later", "", "refuse", "later", "fail", ""];
    let lines: Vec<Value> = (0..).zip(does).map(|(number, does)| line(number, does)).collect();
    let result = result(end(&world.engine, world.run(&lines).await).await.outcome);
    assert_eq!(result["request_counts"], json!({ "total": 6, "completed": 4, "failed": 2 }));
    let good = world.lines(&result["output_file_id"]).await;
    assert_eq!(ids(&good), ["c0", "c1", "c3", "c5"]);
    assert_eq!(
        (&good[1]["response"]["status_code"], &good[1]["response"]["request_id"]),
        (&json!(200), &json!("req_1"))
    );
    assert_eq!((&good[1]["response"]["body"]["n"], &good[1]["error"]), (&json!(1), &json!(null)));
    let bad = world.lines(&result["error_file_id"]).await;
    assert_eq!(ids(&bad), ["c2", "c4"]);
    assert_eq!(bad[0]["response"]["status_code"], 400);
    assert_eq!((&bad[1]["response"], &bad[1]["error"]["code"]), (&json!(null), &json!("upstream_failed")));
    assert_eq!(world.journals(), 0);
}

#[tokio::test]
async fn what_a_batch_leaves_is_kept_as_long_as_it_says() {
    let directory = tempfile::tempdir().unwrap();
    let world = world(directory.path()).await;
    let before = SystemClock.now();
    for (expiry, hours) in [(json!({ "anchor": "created_at", "seconds": 3_600 }), Some(1)), (json!(null), None)] {
        let lines = [line(0, ""), line(1, "refuse")];
        let result = result(end(&world.engine, world.run_with(&lines, &expiry).await).await.outcome);
        for file in ["output_file_id", "error_file_id"] {
            let id = result[file].as_str().unwrap().parse().unwrap();
            let about = world.blobs.get(&"default".parse().unwrap(), &id).unwrap();
            let kept = about.expires_at.map(|at| at.since(before));
            assert_eq!(kept.map(|kept| (kept.as_secs() + 60) / 3_600), hours, "{kept:?}");
        }
    }
}

#[tokio::test]
async fn what_had_ended_before_a_crash_is_not_done_again() {
    let directory = tempfile::tempdir().unwrap();
    let world = world(directory.path()).await;
    let lines: Vec<Value> = (0..10).map(|number| line(number, if number == 7 { "die" } else { "" })).collect();
    let job = end(&world.engine, world.run(&lines).await).await;
    assert_eq!(job.life.attempt, 2);
    let result = result(job.outcome);
    assert_eq!(result["request_counts"], json!({ "total": 10, "completed": 10, "failed": 0 }));
    assert_eq!(world.lines(&result["output_file_id"]).await.len(), 10);
    for number in 0..10 {
        assert_eq!(world.lines.calls(number), if number == 7 { 2 } else { 1 }, "line {number}");
    }
}

#[tokio::test]
async fn a_cancelled_batch_leaves_what_was_done() {
    let directory = tempfile::tempdir().unwrap();
    let world = world(directory.path()).await;
    let job = world.run(&[line(0, ""), line(1, "wait")]).await;
    let mut reader = world.engine.follow(job, None, 0).await.unwrap().unwrap();
    let is_half = |event: &raincheck_core::Event| event.body.data().as_str().contains("\"current\":1");
    while !reader.next().await.unwrap().iter().any(is_half) {}
    world.engine.cancel(job, None, None).await.unwrap();
    assert!(matches!(end(&world.engine, job).await.outcome, Some(Outcome::Cancelled(_))));
    let left = world.lines(&json!(FileId::of_job(job, "output").as_str())).await;
    assert_eq!((ids(&left), world.journals()), (vec!["c0"], 0));
}

#[tokio::test]
async fn a_file_that_is_not_good_is_told_line_by_line() {
    let directory = tempfile::tempdir().unwrap();
    let world = world(directory.path()).await;
    let mut other = line(1, "");
    other["url"] = "/v1/other".into();
    let text = format!("{}\n{other}\nnonsense\n\n{}\n", line(0, ""), line(0, ""));
    let file = world.file(&text).await;
    let input = json!({ "endpoint": URL, "input_file_id": file });
    let job = end(&world.engine, submit(&world.engine, "llm.batch", input).await.unwrap()).await;
    let Some(Outcome::Failed(problem)) = &job.outcome else { panic!("{:?}", job.outcome) };
    assert!(problem.detail.starts_with("line 2: the url should be /v1/embeddings"), "{problem}");
    let steps = world.engine.store().steps(job.id).await.unwrap();
    let mistakes: Value = steps[0].result.parse().unwrap();
    let told: Vec<(u64, &str)> = mistakes
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["line"].as_u64().unwrap(), one["code"].as_str().unwrap()))
        .collect();
    assert_eq!(told, [(2, "mismatched_url"), (3, "invalid_json_line"), (5, "duplicate_custom_id")]);
    assert_eq!(world.lines.calls(0), 0);
    let nowhere = json!({ "endpoint": "/v1/else", "input_file_id": file });
    let problem = submit(&world.engine, "llm.batch", nowhere).await.unwrap_err();
    assert_eq!(problem.pointer.as_deref(), Some("/input/endpoint"));
}
