use serde_json::{Value, json};

use super::{QUICK, RUBRIC, ended, scaled, send, serve, serve_changed, submit};
use crate::diagnostics::Stage;

#[test]
fn a_file_and_a_rubric_become_a_score_and_the_file_goes_to_the_provider_once() {
    let stage = Stage::new(scaled(QUICK));
    let server = serve(&stage);
    let reply = send(&server, &[("file", "Agent: Yes?"), ("rubric", RUBRIC)], &[("Idempotency-Key", "one")]);
    assert_eq!((reply.status, reply.json()["status"].as_str()), (202, Some("queued")), "{reply:?}");
    assert!(reply.headers.contains_key("retry-after"), "{reply:?}");
    let path = reply.headers["location"].clone();
    assert_eq!(path, format!("/api/diagnostics/{}", reply.json()["id"].as_str().expect("an id")));
    // The same request again, and another under its name.
    let again = send(&server, &[("file", "Agent: Yes?"), ("rubric", RUBRIC)], &[("Idempotency-Key", "one")]);
    assert_eq!((again.status, &again.json()["id"]), (202, &reply.json()["id"]), "{again:?}");
    let other = send(&server, &[("file", "Agent: No."), ("rubric", RUBRIC)], &[("Idempotency-Key", "one")]);
    assert_eq!(other.json()["error"], "idempotency-key-reused", "{other:?}");
    let told = ended(&server, &path);
    assert_eq!((&told["status"], &told["file"]), (&json!("completed"), &json!("call.txt")), "{told}");
    let score = told["result"]["score"].as_u64();
    assert!(score.is_some_and(|score| score <= 100) && told["result"]["repaired"] == false, "{told}");
    assert_eq!(ended(&server, &submit(&server, "Agent: Yes?"))["status"], "completed");
    assert_eq!((stage.total("uploads"), stage.total("executions")), (1, 2));
    let tasks = server.get("/api/tasks").json();
    assert_eq!(tasks["tasks"].as_array().map(Vec::len), Some(2), "{tasks}");
    assert_eq!(tasks["tasks"][1]["score"], told["result"]["score"], "{tasks}");
}

/// The recipe with a model that is not held to a schema in these steps, so that it answers with words.
fn free(steps: &[&str]) -> impl Fn(String) -> String {
    let cuts: Vec<String> = steps.iter().map(|step| format!("[steps.{step}.input.text.format")).collect();
    move |recipe| {
        let mut cut = false;
        let keep = |line: &&str| {
            if line.starts_with('[') {
                cut = cuts.iter().any(|start| line.starts_with(start.as_str()));
            }
            !cut
        };
        recipe.lines().filter(keep).collect::<Vec<_>>().join("\n")
    }
}

#[test]
fn what_is_no_score_is_asked_for_once_more_and_then_fails_with_what_was_said() {
    let stage = Stage::new(scaled(QUICK * 10));
    let server = serve_changed(&stage, free(&["score"]));
    let told = ended(&server, &submit(&server, "Agent: Yes?"));
    assert_eq!((&told["status"], &told["result"]["repaired"]), (&json!("completed"), &json!(true)), "{told}");
    assert!(told["result"]["score"].is_u64(), "{told}");
    assert_eq!(stage.total("executions"), 2);
    server.stop();

    let server = serve_changed(&stage, free(&["score", "repair"]));
    let told = ended(&server, &submit(&server, "Agent: Yes?"));
    assert_eq!((&told["status"], &told["result"]), (&json!("failed"), &Value::Null), "{told}");
    let message = told["message"].as_str().expect("a message");
    assert!(message.starts_with("the model gave no score from 0 to 100, ") && message.len() > 40, "{told}");
    assert_eq!(stage.total("executions"), 4, "it was asked once more, and no more");
}
