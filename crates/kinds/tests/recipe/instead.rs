//! What there is instead of a step that failed.

use serde_json::json;

use super::{Kitchen, problem, result};

#[tokio::test(start_paused = true)]
async fn a_fixed_answer_stands_for_a_step_that_failed_and_the_job_is_degraded() {
    let kitchen = Kitchen::new(
        r#"
result = { answer = "{{ steps.ask }}", degraded = "{{ degraded }}" }
[steps.ask]
kind = "work"
input = { name = "ask", fails = 9, how = "never" }
on_error = { use = { text = "later, because {{ error.detail }}", name = "{{ error.name }}" } }
"#,
    )
    .await;
    let job = kitchen.run(json!({})).await;
    let answer = json!({ "text": "later, because step `ask`: ask would not", "name": "upstream-closed" });
    assert_eq!(result(&job), json!({ "answer": answer, "degraded": true }));
    assert_eq!(kitchen.ended(&job).await, [("ask".to_owned(), "degraded".to_owned())]);
}

#[tokio::test(start_paused = true)]
async fn other_work_is_done_instead_and_what_it_stands_for_is_not_tried_again_when_that_fails() {
    let kitchen = Kitchen::new(
        r#"
[steps.ask]
kind = "work"
input = { name = "ask", fails = 99 }
max_attempts = 2
[steps.ask.on_error]
kind = "work"
input = { name = "other", fails = 2 }
"#,
    )
    .await;
    let job = kitchen.run(json!({})).await;
    assert_eq!(result(&job), json!({ "name": "other", "call": 3 }));
    assert_eq!(kitchen.worked.names(), ["ask", "ask", "other", "other", "other"]);
    let keys: Vec<String> = kitchen.worked.calls().into_iter().map(|call| call.key).collect();
    assert_eq!((&keys[0], &keys[2]), (&format!("{}/ask", job.id), &format!("{}/ask/instead", job.id)));
}

#[tokio::test(start_paused = true)]
async fn before_a_job_fails_for_its_last_attempt_there_is_what_there_is_instead() {
    let steps =
        |on_error: &str| format!("[steps.ask]\nkind = \"work\"\ninput = {{ name = \"ask\", fails = 99 }}\n{on_error}");
    let kitchen = Kitchen::new(&steps("on_error = { use = \"nothing\" }")).await;
    let job = kitchen.run(json!({})).await;
    assert_eq!((result(&job), job.life.attempt), (json!("nothing"), job.spec.max_attempts));
    let kitchen = Kitchen::new(&steps("")).await;
    let job = kitchen.run(json!({})).await;
    assert_eq!((problem(&job).detail.as_str(), job.life.attempt), ("step `ask`: ask would not", job.spec.max_attempts));
}

#[tokio::test(start_paused = true)]
async fn a_mistake_that_shows_only_when_it_is_computed_fails_the_job_at_once() {
    let kitchen =
        Kitchen::new("\n[steps.b]\nkind = \"echo\"\n[steps.a]\nkind = \"echo\"\ninput = \"{{ steps.b.y.z }}\"").await;
    let job = kitchen.run(json!({ "x": {} })).await;
    assert!(problem(&job).detail.starts_with("recipe it, a: `steps.b.y.z` cannot be computed"), "{:?}", problem(&job));
    assert_eq!(job.life.attempt, 1);
}

#[tokio::test(start_paused = true)]
async fn what_must_hold_in_the_end_and_does_not_fails_the_job_in_its_authors_words() {
    let kitchen = Kitchen::new(
        r#"
[steps.small]
kind = "echo"
input = "{{ input.x }}"
[require]
that = "steps.small > 10"
otherwise = "only {{ steps.small }}"
"#,
    )
    .await;
    assert_eq!(result(&kitchen.run(json!({ "x": 11 })).await), json!(11));
    let job = kitchen.run(json!({ "x": 10 })).await;
    assert_eq!((problem(&job).detail.as_str(), job.life.attempt), ("only 10", 1));
}
