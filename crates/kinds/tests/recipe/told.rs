//! What is told while a recipe is run.

use raincheck_core::EventBody;
use serde_json::{Value, json};

use super::Kitchen;
use crate::support::log;

#[tokio::test(start_paused = true)]
async fn how_far_it_is_never_falls_and_what_is_done_is_said() {
    let kitchen = Kitchen::new(
        r#"
[steps.one]
kind = "work"
message = "Doing one of {{ input.x }}"
input = { name = "one", percents = [50, 90, 20], seconds = 1 }
[steps.two]
kind = "work"
for_each = "[1, 2]"
concurrency = 1
input = { name = "two", percents = [10, 50] }
[steps.three]
kind = "work"
if = "false"
input = { name = "three" }
"#,
    )
    .await;
    let job = kitchen.run(json!({})).await;
    let told: Vec<(f64, String)> = log(&kitchen.engine, job.id)
        .await
        .into_iter()
        .filter_map(|event| match event.body {
            EventBody::Progress(progress) => Some((progress.percent, progress.message)),
            _ => None,
        })
        .collect();
    assert!(told.is_sorted_by(|one, other| one.0 <= other.0), "{told:?}");
    assert!(
        told.iter().all(|(_, message)| !message.is_empty()),
        "what was said last is said until there is more: {told:?}"
    );
    let percents: Vec<f64> = told.iter().map(|(percent, _)| *percent).collect();
    for expected in [16.66, 30.0, 33.33, 35.0, 41.66] {
        assert!(percents.contains(&expected), "{expected} in {told:?}");
    }
    assert_eq!(percents.last(), Some(&100.0), "{told:?}");
    assert_eq!(told.last().map(|(_, message)| message.as_str()), Some("two at 50"));
}

#[tokio::test(start_paused = true)]
async fn the_only_step_of_a_recipe_speaks_for_the_whole() {
    let kitchen = Kitchen::new("[steps.a]\nkind = \"work\"\ninput = { name = \"a\", percents = [45] }").await;
    let job = kitchen.run(json!({})).await;
    let last = job.life.progress.unwrap();
    assert_eq!((last.percent, last.message.as_str()), (45.0, "a at 45"));
}

#[tokio::test(start_paused = true)]
async fn the_text_of_the_step_that_is_streamed_is_told_and_no_other_models() {
    let kitchen = Kitchen::new(
        r#"
[steps.think]
kind = "llm.chat"
input = { name = "think", says = ["no", "body"] }
[steps.answer]
kind = "llm.chat"
stream = true
input = { name = "answer", says = ["Some", "", "thing"] }
"#,
    )
    .await;
    let job = kitchen.run(json!({})).await;
    let outputs: Vec<Value> = log(&kitchen.engine, job.id)
        .await
        .into_iter()
        .filter_map(|event| match event.body {
            EventBody::Output(output) => Some(output.parse().unwrap()),
            _ => None,
        })
        .collect();
    let text = |text: &str| json!({ "step": "answer", "text": text });
    assert_eq!(outputs, [text("Some"), text("thing")]);
}
