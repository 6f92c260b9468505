//! Promise: with `on_ambiguous = "fail"` a call that was under way when the server ended is not made again, by any kind and however
//! the server ended.

use serde_json::{Value, json};

use super::job;
use super::provider::Stage;

const FILE: &str = "--X\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n--X\r\nContent-Disposition: \
     form-data; name=\"file\"; filename=\"calls.jsonl\"\r\nContent-Type: application/jsonl\r\n\r\n{\"custom_id\": \"a\", \
     \"method\": \"POST\", \"url\": \"/v1/chat/completions\", \"body\": {\"model\": \"gpt-5\", \"messages\": []}}\r\n--X--\r\n";

fn message() -> Value {
    json!({"model": "claude", "max_tokens": 9, "messages": []})
}

/// The kinds that make calls without an id to find them by, each with an input.
pub(super) fn inputs(stage: &Stage) -> Vec<(&'static str, Value)> {
    let headers = [("Content-Type", "multipart/form-data; boundary=X")];
    let mut http = stage.server.http();
    let file = http.request("POST", "/openai/v1/files", &headers, FILE).expect("an answer");
    assert_eq!(file.status, 200, "{file}");
    vec![
        ("llm.response", json!({"model": "gpt-5", "input": "Why?"})),
        ("llm.chat", json!({"model": "gpt-5", "messages": []})),
        ("llm.message", message()),
        ("http.request", json!({"upstream": "http", "path": "/score", "body": {"n": 1}})),
        ("image.generate", json!({"upstream": "openai", "model": "gpt-image-1", "input": {"prompt": "a fox"}})),
        ("llm.message_batch", json!({"requests": [{"custom_id": "a", "params": message()}]})),
        ("llm.batch", json!({"endpoint": "/v1/chat/completions", "input_file_id": file.json()["id"]})),
    ]
}

/// One job of each kind is under way when the server ends and starts again: each says that it may have been done.
fn check(mut stage: Stage, end: impl FnOnce(&mut Stage)) {
    let inputs = inputs(&stage);
    let submit = |(kind, input): &(&'static str, Value)| {
        (*kind, stage.submit(&json!({"kind": kind, "input": input}).to_string()))
    };
    let jobs: Vec<(&str, String)> = inputs.iter().map(submit).collect();
    let all = jobs.len() as u64;
    super::within(std::time::Duration::from_secs(20), "the providers are at work", || {
        (stage.executions() == all).then_some(())
    });
    end(&mut stage);
    stage.server.start_again();
    for (kind, id) in &jobs {
        let mut http = stage.server.http();
        let job = job::check_ended(&mut http, id);
        let told = match *kind {
            "llm.batch" => {
                let file = job["result"]["error_file_id"].as_str().expect("a file of errors");
                http.get(&format!("/openai/v1/files/{file}/content")).expect("an answer").to_string()
            }
            "llm.message_batch" => format!("{:?}", job::log(&mut http, id)),
            _ => job["error"].to_string(),
        };
        assert!(told.contains("look there whether it was done"), "{kind}: {told}\n{job}");
    }
    assert_eq!(stage.executions(), all, "{:?}", stage.simulator.ledger());
}

const FAIL: &str = "on_ambiguous = \"fail\"";

#[test]
fn no_call_is_made_twice_when_the_server_is_killed() {
    check(Stage::new(3_000.0, FAIL), |stage| stage.server.kill());
}

/// An orderly end costs jobs nothing, so no lost lease tells of it.
#[test]
fn nor_when_it_is_stopped_in_mid_call() {
    let stage = Stage::launched(3_000.0, FAIL, "[server]\ndrain_grace = \"0s\"", |launch| launch);
    check(stage, |stage| stage.server.stop());
}
