use serde_json::{Value, json};

use crate::client::{get, post, post_with, request};
use crate::{QUICK, simulator};

const MESSAGES: &str = "/anthropic/v1/messages";
const FLUX: &str = "/fal/fal-ai/flux/dev";
const PREDICTIONS: &str = "/replicate/v1/predictions";
/// A third of a second in the queue, and as long at work.
const QUEUED: &str = r#"{"behaviour": {"queue_ms": {"constant": 300}, "call_ms": {"constant": 300}}}"#;
/// An hour of work.
const LONG: &str = r#"{"behaviour": {"queue_ms": {"constant": 0}, "call_ms": {"constant": 3600000}}}"#;

#[tokio::test]
async fn a_stream_of_anthropic_adds_up_to_the_message() {
    let sim = simulator(QUICK).await;
    let ask = |stream: bool, most: u32| {
        json!({"model": "claude-sim", "max_tokens": most, "stream": stream,
            "messages": [{"role": "user", "content": "Hello"}]})
    };
    let whole = post(sim.address(), MESSAGES, &ask(false, 100)).await;
    assert!(whole.headers["request-id"].starts_with("req_"));
    let whole = whole.json();
    assert_eq!((&whole["stop_reason"], &whole["usage"]["output_tokens"]), (&json!("end_turn"), &json!(12)));
    let stream = post(sim.address(), MESSAGES, &ask(true, 100)).await;
    let (events, text) = (stream.events(), stream.text());
    let named = text.lines().filter_map(|line| line.strip_prefix("event: "));
    assert!(named.eq(events.iter().map(|event| event["type"].as_str().unwrap())));
    let written: String = events.iter().filter_map(|event| event["delta"]["text"].as_str()).collect();
    assert_eq!(whole["content"][0]["text"], json!(written));
    assert_eq!(events.last().unwrap()["type"], "message_stop");
    let cut = post(sim.address(), MESSAGES, &ask(false, 3)).await.json();
    assert_eq!((&cut["stop_reason"], &cut["usage"]["output_tokens"]), (&json!("max_tokens"), &json!(3)));
    let counted = post(sim.address(), &format!("{MESSAGES}/count_tokens"), &ask(false, 3)).await.json();
    assert_eq!(counted["input_tokens"], whole["usage"]["input_tokens"]);
    let wrong = post(sim.address(), MESSAGES, &json!({"model": "m", "messages": []})).await;
    assert_eq!((wrong.status, &wrong.json()["error"]["message"]), (400, &json!("max_tokens: Field required")));
}

/// The path of an address that we were given.
fn path(url: &Value) -> String {
    let url = url.as_str().unwrap().strip_prefix("http://").unwrap();
    url[url.find('/').unwrap()..].to_owned()
}

#[tokio::test]
async fn fal_queues_works_and_gives_pictures() {
    let sim = simulator(QUEUED).await;
    let input = json!({"prompt": "rain", "image_size": {"width": 64, "height": 48}, "num_images": 2});
    let submitted = post(sim.address(), FLUX, &input).await;
    let begun = submitted.json();
    assert_eq!(
        (&begun["status"], &submitted.headers["x-fal-request-id"]),
        (&json!("IN_QUEUE"), &begun["request_id"].as_str().unwrap().to_owned())
    );
    assert!(path(&begun["status_url"]).starts_with("/fal/fal-ai/flux/requests/"));
    let status = get(sim.address(), &path(&begun["status_url"])).await;
    assert_eq!((status.status, status.json()["queue_position"].is_u64()), (202, true));
    let early = get(sim.address(), &path(&begun["response_url"])).await;
    assert_eq!((early.status, &early.json()["detail"]), (400, &json!("Request is still in progress")));
    let changes = get(sim.address(), &format!("{}/stream?logs=1", path(&begun["status_url"]))).await.events();
    let said: Vec<&str> = changes.iter().map(|change| change["status"].as_str().unwrap()).collect();
    assert_eq!(said, ["IN_QUEUE", "IN_PROGRESS", "COMPLETED"]);
    let status = get(sim.address(), &format!("{}?logs=true", path(&begun["status_url"]))).await;
    assert_eq!((status.status, status.json()["logs"].as_array().unwrap().len()), (200, 5));
    let result = get(sim.address(), &path(&begun["response_url"])).await.json();
    assert_eq!(result["images"].as_array().unwrap().len(), 2);
    let picture = get(sim.address(), &path(&result["images"][1]["url"])).await;
    assert!(picture.headers["content-type"] == "image/png" && picture.body.starts_with(b"\x89PNG"));
}

#[tokio::test]
async fn fal_cancels_and_fails() {
    let sim = simulator(LONG).await;
    let begun = post(sim.address(), FLUX, &json!({"prompt": "x"})).await.json();
    let cancel = path(&begun["cancel_url"]);
    let cancelled = request(sim.address(), "PUT", &cancel, &[], b"").await;
    assert_eq!((cancelled.status, &cancelled.json()["status"]), (202, &json!("CANCELLATION_REQUESTED")));
    let status = get(sim.address(), &path(&begun["status_url"])).await.json();
    assert_eq!((&status["status"], &status["error_type"]), (&json!("COMPLETED"), &json!("client_cancelled")));
    assert_eq!(sim.ledger().total.cancelled, 1);
    let sim = simulator(QUICK).await;
    let begun = post_with(sim.address(), FLUX, &[("x-sim-fault", "fails")], &json!({"prompt": "x"})).await.json();
    let failed = get(sim.address(), &path(&begun["response_url"])).await;
    assert_eq!((failed.status, &failed.json()["error_type"]), (500, &json!("internal_server_error")));
    let cancel = request(sim.address(), "PUT", &path(&begun["cancel_url"]), &[], b"").await;
    assert_eq!((cancel.status, &cancel.json()["status"]), (400, &json!("ALREADY_COMPLETED")));
}

#[tokio::test]
async fn fal_fails_as_it_is_told_to() {
    let sim = simulator(QUICK).await;
    for (status, of_type) in [(422, "content_policy_violation"), (504, "startup_timeout")] {
        let fault = json!({"kind": "fails", "status": status}).to_string();
        let begun = post_with(sim.address(), FLUX, &[("x-sim-fault", &fault)], &json!({"prompt": "x"})).await.json();
        let told = get(sim.address(), &path(&begun["status_url"])).await.json();
        assert_eq!((&told["status"], &told["error_type"]), (&json!("COMPLETED"), &json!(of_type)));
        let result = get(sim.address(), &path(&begun["response_url"])).await;
        assert_eq!((result.status, result.json()["detail"].is_array()), (status, status == 422));
    }
}

#[tokio::test]
async fn fal_finds_a_picture_unfit() {
    let sim = simulator(QUICK).await;
    let begun = post_with(sim.address(), FLUX, &[("x-sim-fault", "flagged")], &json!({"prompt": "x"})).await.json();
    let result = get(sim.address(), &path(&begun["response_url"])).await.json();
    assert_eq!(result["has_nsfw_concepts"], json!([true]));
}

#[tokio::test]
async fn a_picture_may_be_something_else() {
    let sim = simulator(QUICK).await;
    let begun = post(sim.address(), FLUX, &json!({"prompt": "x"})).await.json();
    let result = get(sim.address(), &path(&begun["response_url"])).await.json();
    let picture = path(&result["images"][0]["url"]);
    let met = async |kind: &str| {
        let rule = json!({"rules": [{"fault": {"kind": kind}, "model": "pictures", "on": "poll", "calls": 1}]});
        assert_eq!(post(sim.address(), "/sim/faults", &rule).await.status, 200);
        get(sim.address(), &picture).await
    };
    assert!(met("web_page").await.headers["content-type"].starts_with("text/html"));
    let redirected = met("redirected").await;
    assert!(redirected.status == 302 && redirected.headers["location"].starts_with("http://169.254.169.254/"));
    assert!(met("oversized").await.body.len() > 60 << 20);
    assert_eq!(met("unavailable").await.status, 503);
    assert!(get(sim.address(), &picture).await.body.starts_with(b"\x89PNG"));
}

#[tokio::test]
async fn replicate_predicts_waits_and_cancels() {
    let sim = simulator(QUEUED).await;
    let body = json!({"version": "v1", "input": {"prompt": "x"}});
    let begun = post(sim.address(), PREDICTIONS, &body).await;
    assert_eq!((begun.status, &begun.json()["status"]), (201, &json!("starting")));
    let done = post_with(sim.address(), PREDICTIONS, &[("prefer", "wait=5")], &body).await.json();
    assert_eq!(done["status"], "succeeded");
    assert_eq!(get(sim.address(), &path(&done["urls"]["get"])).await.json(), done);
    let sim = simulator(LONG).await;
    let begun = post_with(sim.address(), PREDICTIONS, &[("prefer", "wait=1")], &body).await.json();
    assert_eq!(begun["status"], "starting", "what has not ended after the wait is `starting`, whatever it does");
    assert_eq!(get(sim.address(), &path(&begun["urls"]["get"])).await.json()["status"], "processing");
    let cancelled = post(sim.address(), &path(&begun["urls"]["cancel"]), &json!({})).await.json();
    assert_eq!(cancelled["status"], "canceled");
    let model = "/replicate/v1/models/meta/llama/predictions";
    assert_eq!(post(sim.address(), model, &json!({"input": {}})).await.json()["model"], "meta/llama");
    let version = get(sim.address(), "/replicate/v1/models/meta/llama/versions/v1").await.json();
    assert_eq!(version["openapi_schema"]["components"]["schemas"]["Output"]["type"], "array");
    assert_eq!(post(sim.address(), PREDICTIONS, &json!({"input": {}})).await.status, 422);
}

#[tokio::test]
async fn any_endpoint_says_what_it_got() {
    let sim = simulator(QUICK).await;
    let headers = [("content-type", "text/plain"), ("authorization", "Bearer secret")];
    let reply = request(sim.address(), "PATCH", "/http/a/b?c=d", &headers, b"text").await.json();
    assert_eq!((&reply["method"], &reply["path"]), (&json!("PATCH"), &json!("/http/a/b")));
    assert_eq!((&reply["query"], &reply["body"]), (&json!("c=d"), &json!("text")));
    assert!(!reply.to_string().contains("secret"));
}
