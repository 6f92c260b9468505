use std::time::Duration;

use raincheck_simulator::{Fault, FaultKind, FaultRule, Tally};
use serde_json::{Value, json};

use crate::client::{End, Reply, get, post, post_with, request, send};
use crate::{QUICK, simulator};

const CHAT: &str = "/openai/v1/chat/completions";
const RESPONSES: &str = "/openai/v1/responses";

fn chat(stream: bool) -> Value {
    json!({"model": "m", "messages": [{"role": "user", "content": "Hello"}], "stream": stream})
}

/// A call that meets a fault, and what the ledger says after it.
async fn meet(fault: &str, stream: bool) -> (Reply, Tally) {
    let sim = simulator(QUICK).await;
    let reply = post_with(sim.address(), CHAT, &[("x-sim-fault", fault)], &chat(stream)).await;
    (reply, sim.ledger().total)
}

#[tokio::test]
async fn each_provider_refuses_in_its_own_words() {
    let sim = simulator(QUICK).await;
    let message = json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]});
    let prediction = json!({"version": "v", "input": {"prompt": "x"}});
    let cases: [(&str, &Value, &str, u16, &str, Value); 12] = [
        (CHAT, &chat(false), "rate_limited", 429, "/error/code", json!("rate_limit_exceeded")),
        (CHAT, &chat(false), "insufficient_quota", 429, "/error/code", json!("insufficient_quota")),
        (CHAT, &chat(false), "content_policy", 400, "/error/code", json!("content_policy_violation")),
        (CHAT, &chat(false), "server_error", 500, "/error/type", json!("server_error")),
        (CHAT, &chat(false), "unavailable", 503, "/error/code", json!("server_overloaded")),
        ("/anthropic/v1/messages", &message, "overloaded", 529, "/error/type", json!("overloaded_error")),
        ("/anthropic/v1/messages", &message, "rate_limited", 429, "/error/type", json!("rate_limit_error")),
        ("/anthropic/v1/messages", &message, "insufficient_quota", 400, "/type", json!("error")),
        ("/fal/fal-ai/flux", &prediction, "content_policy", 422, "/detail/0/type", json!("content_policy_violation")),
        ("/fal/fal-ai/flux", &prediction, "server_error", 500, "/error_type", json!("internal_server_error")),
        ("/replicate/v1/predictions", &prediction, "rate_limited", 429, "/status", json!(429)),
        ("/http/any", &prediction, r#"{"kind": "status", "status": 418}"#, 418, "/status", json!(418)),
    ];
    let count = cases.len() as u64;
    for (path, body, fault, status, pointer, expected) in cases {
        let reply = post_with(sim.address(), path, &[("x-sim-fault", fault)], body).await;
        assert_eq!(reply.status, status, "{path} {fault}");
        assert_eq!(reply.json().pointer(pointer), Some(&expected), "{path} {fault}: {}", reply.text());
    }
    let page = post_with(sim.address(), "/fal/fal-ai/flux", &[("x-sim-fault", "bad_gateway")], &prediction).await;
    assert!(page.status == 502 && page.text().contains("nginx"), "{page:?}");
    let unknown = post_with(sim.address(), CHAT, &[("x-sim-fault", "explode")], &chat(false)).await;
    assert!(unknown.status == 400 && unknown.text().contains("unknown variant `explode`"), "{}", unknown.text());
    let total = sim.ledger().total;
    assert_eq!((total.received, total.refused, total.executions), (count + 2, count + 2, 0));
}

#[tokio::test]
async fn when_to_come_back_is_told_in_each_form() {
    let told = async |form: &str| {
        let fault = format!(r#"{{"kind": "rate_limited", "retry_after": "{form}", "wait_ms": 2500}}"#);
        let (reply, _) = meet(&fault, false).await;
        let header = |name: &str| reply.headers.get(name).cloned();
        (header("retry-after"), header("retry-after-ms"))
    };
    assert_eq!(told("none").await, (None, None));
    assert_eq!(told("seconds").await, (Some("3".into()), None));
    assert_eq!(told("ms").await, (Some("3".into()), Some("2500".into())));
    assert!(told("date").await.0.is_some_and(|date| date.ends_with(" GMT")));
}

#[tokio::test]
async fn a_reset_before_the_answer_does_no_work_and_a_lost_answer_all_of_it() {
    let (reply, tally) = meet("reset_before", false).await;
    assert_eq!((reply.status, reply.end, tally.executions, tally.refused), (0, End::Reset, 0, 1));
    let (reply, tally) = meet("lost_answer", false).await;
    assert_eq!((reply.status, reply.end), (0, End::Reset));
    assert_eq!((tally.executions, tally.completed, tally.output_tokens), (1, 1, 12));
    let (reply, tally) = meet("lost_answer", true).await;
    assert_eq!((reply.status, reply.end), (200, End::Reset));
    assert_eq!((tally.executions, tally.completed, tally.output_tokens), (1, 1, 12));
}

#[tokio::test]
async fn a_stream_is_cut_in_the_middle() {
    let (reply, tally) = meet("reset_mid", true).await;
    assert_eq!((reply.status, reply.end), (200, End::Reset));
    assert_eq!(reply.events().len(), 1 + 3);
    assert_eq!((tally.aborted, tally.completed, tally.output_tokens), (1, 0, 3));
    let (reply, tally) = meet(r#"{"kind": "truncate", "after_tokens": 5}"#, true).await;
    assert!(reply.end == End::Whole && !reply.text().contains("[DONE]"));
    assert_eq!((tally.aborted, tally.output_tokens), (1, 5));
    let (reply, _) = meet("malformed", true).await;
    let broken = |line: &&str| line.starts_with("data: {") && serde_json::from_str::<Value>(&line[6..]).is_err();
    assert_eq!(reply.text().lines().filter(broken).count(), 1);
    let (reply, tally) = meet("error_mid", true).await;
    assert_eq!(reply.events().last().unwrap()["error"]["type"], "server_error");
    assert_eq!(tally.failed, 1);
}

#[tokio::test]
async fn what_is_silent_is_silent() {
    let (reply, _) = meet("stall", true).await;
    assert_eq!((reply.end, reply.events().len()), (End::Stalled, 1 + 3));
    let (reply, _) = meet("stall", false).await;
    assert!(reply.end == End::Stalled && !reply.body.is_empty());
    let (reply, tally) = meet("hang", false).await;
    assert_eq!((reply.end, reply.status, tally.executions), (End::Stalled, 0, 0));
    let (reply, _) = meet(r#"{"kind": "stall", "wait_ms": 100}"#, true).await;
    assert!(reply.end == End::Whole && reply.text().ends_with("[DONE]\n\n"));
}

#[tokio::test]
async fn a_whole_answer_is_broken_too() {
    let (reply, _) = meet("truncate", false).await;
    assert!(reply.end == End::Whole && serde_json::from_slice::<Value>(&reply.body).is_err());
    let (reply, _) = meet("malformed", false).await;
    assert!(reply.end == End::Whole && serde_json::from_slice::<Value>(&reply.body).is_err());
    let (reply, _) = meet("reset_mid", false).await;
    assert!(reply.end == End::Reset && !reply.body.is_empty());
    for stream in [false, true] {
        let (slow, _) = meet(r#"{"kind": "slow_drip", "wait_ms": 1}"#, stream).await;
        assert_eq!((slow.end, slow.body), (End::Whole, meet("fails", stream).await.0.body));
    }
}

#[tokio::test]
async fn work_that_is_accepted_can_fail() {
    let sim = simulator(QUICK).await;
    let fails = [("x-sim-fault", "fails")];
    let body = json!({"model": "m", "input": "x", "background": true});
    let begun = post_with(sim.address(), RESPONSES, &fails, &body).await.json();
    let failed = get(sim.address(), &format!("{RESPONSES}/{}", begun["id"].as_str().unwrap())).await.json();
    assert_eq!((&failed["status"], &failed["error"]["code"]), (&json!("failed"), &json!("server_error")));
    let body = json!({"model": "m", "input": "x", "stream": true});
    let events = post_with(sim.address(), RESPONSES, &fails, &body).await.events();
    assert_eq!(events.last().unwrap()["type"], "response.failed");
    assert_eq!(sim.ledger().total.failed, 2);
}

#[tokio::test]
async fn who_goes_away_aborts_the_work() {
    for stream in [false, true] {
        let sim = simulator(r#"{"behaviour": {"call_ms": {"constant": 60000}}}"#).await;
        let body = chat(stream).to_string();
        let connection = send(sim.address(), "POST", CHAT, &[], body.as_bytes()).await;
        until(|| sim.ledger().total.under_way == 1).await;
        drop(connection);
        until(|| sim.ledger().total.aborted == 1).await;
        let total = sim.ledger().total;
        assert_eq!((total.executions, total.completed, total.under_way), (1, 0, 0));
    }
}

async fn until(condition: impl Fn() -> bool) {
    let check = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), check).await.expect("it happens within 10 s");
}

#[tokio::test]
async fn rules_are_set_and_cleared_while_it_runs() {
    let sim = simulator(QUICK).await;
    let rules = json!({"rules": [
        {"fault": {"kind": "unavailable"}, "dialect": "openai", "model": "m", "calls": 2},
        {"fault": {"kind": "server_error"}, "on": "poll"}
    ]});
    assert_eq!(post(sim.address(), "/sim/faults", &rules).await.status, 200);
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(post(sim.address(), CHAT, &chat(false)).await.status);
    }
    assert_eq!(statuses, [503, 503, 200]);
    assert_eq!(get(sim.address(), "/openai/v1/models").await.status, 500);
    assert_eq!(get(sim.address(), "/sim/faults").await.json()["rules"].as_array().unwrap().len(), 1);
    assert_eq!(request(sim.address(), "DELETE", "/sim/faults", &[], b"").await.status, 204);
    assert_eq!(get(sim.address(), "/openai/v1/models").await.status, 200);
    sim.add_faults(vec![FaultRule { for_ms: Some(200), ..FaultRule::always(Fault::new(FaultKind::Unavailable)) }])
        .unwrap();
    assert_eq!(post(sim.address(), CHAT, &chat(false)).await.status, 503);
    tokio::time::sleep(Duration::from_millis(250)).await;
    assert_eq!(post(sim.address(), CHAT, &chat(false)).await.status, 200);
}

#[tokio::test]
async fn a_resumed_stream_meets_faults_and_the_work_goes_on() {
    let sim = simulator(r#"{"behaviour": {"call_ms": {"constant": 500}, "output_tokens": {"constant": 10}}}"#).await;
    let body = json!({"model": "m", "input": "x", "background": true, "stream": true});
    let cut = post_with(sim.address(), RESPONSES, &[("x-sim-fault", "reset_mid")], &body).await;
    assert_eq!(cut.end, End::Reset);
    let seen = cut.events();
    let last = seen.last().unwrap()["sequence_number"].as_u64().unwrap();
    let path = format!("{RESPONSES}/{}", seen[0]["response"]["id"].as_str().unwrap());
    let rest = get(sim.address(), &format!("{path}?stream=true&starting_after={last}")).await.events();
    assert_eq!(rest[0]["sequence_number"].as_u64().unwrap(), last + 1);
    assert_eq!(rest.last().unwrap()["type"], "response.completed");
    let total = sim.ledger().total;
    assert_eq!((total.executions, total.completed), (1, 1));
}
