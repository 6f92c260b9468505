use std::time::Duration;

use serde_json::{Value, json};

use super::{Platform, QUESTION, answer, ask, constant, ended};
use crate::proof::{now, within};
use crate::support::post;

/// The deadlines of the recipes, for an outage of seconds in place of minutes.
const SHORT: [(&str, &str); 2] =
    [("deadline = \"60s\"", "deadline = \"3s\""), ("deadline = \"20s\"", "deadline = \"2s\"")];

/// Row A10.
#[test]
fn while_the_provider_is_down_what_can_be_said_without_it_is_said_and_the_rest_waits() {
    let platform = Platform::changed(&constant(1), "", &SHORT);
    let server = platform.serve();
    let before = ask(&server, QUESTION, None);
    assert_eq!(answer(&server, &before)["result"]["degraded"], false);
    platform.faults(&json!([{ "fault": { "kind": "unavailable" } }]));
    let down = now();
    let accept = |path: &str, body: Value| {
        let reply = post(server.address, path, &body.to_string());
        assert_eq!(reply.status, 202, "{reply:?}");
        reply.headers["location"].clone()
    };
    let persona =
        |user: usize| accept("/api/personas", json!({ "userId": format!("u{user}"), "profile": "Asks much." }));
    let mut waiting: Vec<String> = (0..5).map(persona).collect();
    waiting.push(accept("/api/tutors/t-17/copilot", json!({ "transcript": "Ada: I do not get joins." })));
    let landing = accept("/api/landing-assistant/query", json!({ "question": "Can I get my money back?" }));
    let asked = ask(&server, QUESTION, Some(&before.conversation));

    let told = answer(&server, &asked);
    let result = &told["result"];
    assert_eq!((&told["status"], &result["degraded"]), (&json!("completed"), &json!(true)), "{told}");
    assert_eq!(result["reason"], "provider_unavailable");
    assert!(result["retryAt"].as_str().is_some_and(|at| at.starts_with("20")), "{told}");
    let passages = result["citations"].as_array().unwrap();
    assert!(
        passages.iter().all(|passage| told["answer"].as_str().unwrap().contains(passage["text"].as_str().unwrap()))
    );
    assert_eq!(passages[0]["title"], "Keys and relationships");
    let told = ended(&server, &landing);
    assert_eq!(told["result"]["degraded"], true, "{told}");
    assert!(told["answer"].as_str().unwrap().contains("Within 30 days"), "the answer to the frequent question: {told}");

    // Ten minutes of it, scaled as the deadlines are.
    let ten_minutes = Duration::from_secs(600) / 60;
    while down.elapsed() < ten_minutes {
        let start = now();
        assert_eq!(server.get("/healthz").status, 200);
        assert_eq!(server.get("/pages/course/").status, 200);
        assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
        std::thread::sleep(Duration::from_millis(100));
    }
    for page in &waiting {
        let told = server.get(page).json();
        assert!(["pending", "thinking"].contains(&told["status"].as_str().unwrap()), "{told}");
    }
    platform.healed();
    for page in &waiting {
        assert_eq!(ended(&server, page)["status"], "completed");
    }
    // And so does what is asked from now on, by itself.
    within(Duration::from_secs(60), "the assistant answers again", || {
        let told = answer(&server, &ask(&server, QUESTION, Some(&before.conversation)));
        (told["result"]["degraded"] == false).then_some(())
    });
}

/// Row A9.
#[test]
fn what_the_provider_refuses_for_now_is_asked_again_and_nobody_sees_an_error() {
    let platform = Platform::new(&constant(1));
    let server = platform.serve();
    let once = |kind: &str, skip: u64| json!({ "fault": { "kind": kind, "retry_after": "ms", "wait_ms": 300 }, "calls": 1, "skip": skip });
    platform.faults(&json!([once("rate_limited", 0), once("unavailable", 0), once("server_error", 0)]));
    let asked = ask(&server, QUESTION, None);
    let told = answer(&server, &asked);
    assert_eq!((&told["status"], &told["result"]["degraded"]), (&json!("completed"), &json!(false)), "{told}");
    let total = &platform.ledger()["total"];
    assert_eq!((&total["refused"], &total["executions"]), (&json!(3), &json!(1)), "{total}");
    let job = server.job(&asked.job);
    assert_eq!(job["attempt"], 4, "each is told: {job}");
}
