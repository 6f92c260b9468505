//! `llm.message_batch`: every message once, whatever happens to the attempt.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use raincheck_core::{EventBody, Json, Outcome, Problem, ProblemType, State};
use raincheck_engine::{Context, Failure, Registry};
use raincheck_kinds::{MessageBatch, MessageRequest, Messages};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::support::{end, engine, log, submit};

/// Writes messages, and counts how often each is asked for and how many are at once.
#[derive(Clone)]
struct Writer {
    asked: Arc<Mutex<BTreeMap<String, u32>>>,
    at_once: Arc<Semaphore>,
}

impl Writer {
    fn new() -> Self {
        // One more at once than a batch may have would panic.
        Self { asked: Arc::default(), at_once: Arc::new(Semaphore::new(16)) }
    }

    fn asked(&self, custom_id: &str) -> u32 {
        self.asked.lock().unwrap().iter().find(|(key, _)| key.ends_with(custom_id)).map_or(0, |(_, number)| *number)
    }
}

#[async_trait]
impl Messages for Writer {
    async fn message(&self, _: &Context, _: &str, request: MessageRequest) -> Result<Json, Failure> {
        let _permit = self.at_once.try_acquire().expect("no more than 16 at once");
        let times = {
            let mut asked = self.asked.lock().unwrap();
            let times = asked.entry(request.key.clone()).or_default();
            *times += 1;
            *times
        };
        tokio::time::sleep(Duration::from_millis(5)).await;
        let params: Value = request.params.parse().unwrap();
        let refused = |status, kind: &str| {
            let error = json!({ "type": "error", "error": { "type": kind, "message": "no" } });
            Problem::new(ProblemType::HANDLER_FAILED, "no").of_upstream(status, Some(error.into()))
        };
        match params["model"].as_str().unwrap() {
            "refused" => Err(Failure::fatal(refused(400, "invalid_request_error"))),
            "flaky" if times == 1 => Err(Failure::transient("it was not reached")),
            "closed" if times <= 4 => {
                Err(Failure::postponed(refused(429, "rate_limit_error"), Duration::from_millis(1)))
            }
            "broken" => Err(Failure::transient("it is never reached")),
            "slow" => {
                tokio::time::sleep(Duration::from_secs(60)).await;
                Ok(Json::null())
            }
            model => Ok(json!({ "type": "message", "model": model }).into()),
        }
    }
}

fn batch(models: &[&str]) -> Value {
    let request = |(number, model)| json!({ "custom_id": format!("r{number}"), "params": { "model": model } });
    json!({ "requests": models.iter().enumerate().map(request).collect::<Vec<_>>() })
}

#[tokio::test]
async fn every_message_is_written_once_and_recorded() {
    let writer = Writer::new();
    let engine = engine(Registry::default().with(MessageBatch::new(writer.clone()))).await;
    let models: Vec<&str> = std::iter::repeat_n("fine", 40).chain(["refused", "flaky", "closed"]).collect();
    let job = submit(&engine, "llm.message_batch", batch(&models)).await.unwrap();
    let ended = end(&engine, job).await;
    let Some(Outcome::Completed(counts)) = &ended.outcome else { panic!("{:?}", ended.outcome) };
    assert_eq!(counts.parse::<Value>().unwrap(), json!({ "succeeded": 42, "errored": 1 }));
    assert_eq!((writer.asked("-r0"), writer.asked("-r40"), writer.asked("-r41"), writer.asked("-r42")), (1, 1, 2, 5));
    assert_eq!(ended.life.failures, 1, "what is closed costs no attempt");
    let steps: BTreeMap<String, Value> = log(&engine, job)
        .await
        .into_iter()
        .filter_map(|event| match event.body {
            EventBody::Step(step) => Some((step.name, step.result.parse().unwrap())),
            _ => None,
        })
        .collect();
    assert_eq!(steps.len(), 43);
    assert_eq!(steps["request:r0"], json!({ "type": "succeeded", "message": { "type": "message", "model": "fine" } }));
    assert_eq!(steps["request:r40"]["error"]["error"]["type"], "invalid_request_error");
}

#[tokio::test]
async fn what_never_succeeds_is_an_error_of_its_own() {
    let writer = Writer::new();
    let engine = engine(Registry::default().with(MessageBatch::new(writer.clone()))).await;
    let job = submit(&engine, "llm.message_batch", batch(&["fine", "broken"])).await.unwrap();
    let ended = end(&engine, job).await;
    assert_eq!(ended.life.state, State::Completed);
    assert_eq!((writer.asked("-r0"), writer.asked("-r1")), (1, 3));
}

#[tokio::test]
async fn a_cancelled_batch_keeps_what_is_done() {
    let writer = Writer::new();
    let engine = engine(Registry::default().with(MessageBatch::new(writer.clone()))).await;
    let job = submit(&engine, "llm.message_batch", batch(&["fine", "slow", "fine"])).await.unwrap();
    while engine.store().steps(job).await.unwrap().len() < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    engine.cancel(job, None, None).await.unwrap();
    assert_eq!(end(&engine, job).await.life.state, State::Cancelled);
    assert_eq!(engine.store().steps(job).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_batch_that_cannot_be_is_refused_with_its_place() {
    let engine = engine(Registry::default().with(MessageBatch::new(Writer::new()))).await;
    let request = |id: &str| json!({ "custom_id": id, "params": { "model": "m" } });
    for (input, pointer) in [
        (json!({ "requests": [] }), "/input/requests"),
        (json!({}), "/input"),
        (json!({ "requests": [request("a"), request("a")] }), "/input/requests/1/custom_id"),
        (json!({ "requests": [request("a b")] }), "/input/requests/0/custom_id"),
        (json!({ "requests": [{ "custom_id": "a", "params": {} }] }), "/input/requests/0/params"),
        (json!({ "requests": [{ "custom_id": "a", "params": 7 }] }), "/input/requests/0/params"),
    ] {
        let problem = submit(&engine, "llm.message_batch", input.clone()).await.unwrap_err();
        assert_eq!(problem.pointer.as_deref(), Some(pointer), "{input}");
    }
}
