//! The door of OpenAI's API, as its SDKs call it. Each trap in which one of them breaks is a test here.

mod asynchronous;
mod errors;
mod files;
mod own_key;
mod passed;
mod responses;
mod retries;
mod streams;
mod uploads;

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{Reply, Server};

const RESPONSES: &str = "/openai/v1/responses";

/// Creates a Response in the background.
async fn create(server: &Server, input: &str) -> Value {
    let body = json!({ "model": "m", "input": input, "background": true });
    let reply = server.post(RESPONSES, &body.to_string()).await;
    assert_eq!(reply.status, StatusCode::ACCEPTED, "{}", reply.text());
    reply.json()
}

fn path(response: &Value, rest: &str) -> String {
    format!("{RESPONSES}/{}{rest}", response["id"].as_str().unwrap())
}

fn job(response: &Value) -> String {
    response["id"].as_str().unwrap().replace("resp_", "job_")
}

/// The Response once it has ended.
async fn ended(server: &Server, response: &Value) -> Value {
    let id = job(response);
    let mut reader = server.engine.follow(id.parse().unwrap(), None, 0).await.unwrap().unwrap();
    while !reader.next().await.unwrap().is_empty() {}
    let reply = server.get(&path(response, "")).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
    reply.json()
}

/// The events of a stream that has ended: no line but `event:` and `data:` (and bare comments).
fn events(text: &str) -> Vec<Value> {
    let block = |block: &str| -> Value {
        let lines: Vec<&str> = block.lines().filter(|line| *line != ":").collect();
        let [event, data] = lines[..] else { panic!("{block:?}") };
        let data: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(event.strip_prefix("event: "), data["type"].as_str());
        data
    };
    text.split_terminator("\n\n").map(block).collect()
}

fn types(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["type"].as_str().unwrap()).collect()
}

async fn told(server: &Server, response: &Value, query: &str) -> Vec<Value> {
    let reply = server.get(&path(response, query)).await;
    assert_eq!(reply.header("content-type"), Some("text/event-stream; charset=utf-8"), "{}", reply.text());
    events(reply.text())
}

async fn call(server: &Server, method: Method, path: &str, headers: &[(&str, &str)], body: &Value) -> Reply {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    server.call(method, path, headers, &body).await
}
