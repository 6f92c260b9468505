//! Which steps are done, and when.

use std::time::Duration;

use raincheck_core::State;
use serde_json::json;

use super::{Kitchen, problem, result};
use crate::support::submit;

#[tokio::test(start_paused = true)]
async fn steps_are_done_one_after_the_other_and_see_what_those_above_gave() {
    let kitchen = Kitchen::new(
        r#"
result = { last = "{{ steps.second }}", x = "{{ input.x }}" }
[steps.first]
kind = "work"
input = { name = "a", seconds = 2 }
[steps.second]
kind = "work"
input = { name = "{{ steps.first.name ~ 'b' }}" }
"#,
    )
    .await;
    let job = kitchen.run(json!({})).await;
    assert_eq!(result(&job), json!({ "last": { "name": "ab", "call": 1 }, "x": 7 }));
    assert_eq!(kitchen.worked.names(), ["a", "ab"]);
    let keys: Vec<String> = kitchen.worked.calls().into_iter().map(|call| call.key).collect();
    assert_eq!(keys, [format!("{}/first", job.id), format!("{}/second", job.id)], "each is another call to a provider");
}

#[tokio::test(start_paused = true)]
async fn steps_that_do_not_need_each_other_are_done_at_once() {
    let kitchen = Kitchen::new(
        r#"
[steps.a]
kind = "work"
input = { name = "a", seconds = 10 }
[steps.b]
kind = "work"
needs = []
input = { name = "b", seconds = 10 }
[steps.c]
kind = "work"
needs = ["b"]
input = { name = "c" }
[steps.all]
kind = "echo"
input = "{{ [steps.a.name, steps.b.name, steps.c.name] }}"
"#,
    )
    .await;
    let job = kitchen.run(json!({})).await;
    assert_eq!(result(&job), json!(["a", "b", "c"]));
    let [a, b, c] = &kitchen.worked.calls()[..] else { panic!("three calls") };
    assert_eq!((&*a.name, &*b.name, &*c.name, kitchen.worked.peak()), ("a", "b", "c", 2));
    assert!(b.began - a.began < Duration::from_secs(1) && c.began - b.began >= Duration::from_secs(10));
}

#[tokio::test(start_paused = true)]
async fn a_step_whose_condition_does_not_hold_is_left_out() {
    let kitchen = Kitchen::new(
        r#"
result = "{{ [steps.more, steps.also.name] }}"
[steps.more]
kind = "work"
if = "input.x > 10"
input = { name = "more" }
[steps.also]
kind = "work"
if = "steps.more is none"
input = { name = "also" }
"#,
    )
    .await;
    let job = kitchen.run(json!({ "x": 1 })).await;
    assert_eq!(result(&job), json!([null, "also"]));
    assert_eq!(
        kitchen.ended(&job).await,
        [("more".into(), "skipped".into()), ("also".into(), "completed".into())] as [(String, String); 2]
    );
    assert_eq!(kitchen.worked.names(), ["also"]);
}

#[tokio::test(start_paused = true)]
async fn once_a_step_has_failed_those_under_way_are_waited_for_and_none_is_begun() {
    let kitchen = Kitchen::new(
        r#"
[steps.bad]
kind = "work"
input = { name = "bad", seconds = 1, fails = 9, how = "never" }
[steps.good]
kind = "work"
needs = []
input = { name = "good", seconds = 30 }
[steps.later]
kind = "work"
needs = ["good"]
input = { name = "later" }
"#,
    )
    .await;
    let job = kitchen.run(json!({})).await;
    assert_eq!(problem(&job).detail, "step `bad`: bad would not");
    assert_eq!(problem(&job).name(), "upstream-closed");
    assert_eq!(kitchen.worked.names(), ["bad", "good"]);
    assert_eq!(kitchen.ended(&job).await, [("good".to_owned(), "completed".to_owned())], "it may be paid for already");
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_job_stops_its_step_and_begins_no_other() {
    let kitchen = Kitchen::new(
        r#"
[steps.long]
kind = "work"
input = { name = "long", seconds = 3600 }
on_error = { use = "never mind" }
[steps.next]
kind = "work"
input = { name = "next" }
"#,
    )
    .await;
    let job = kitchen.submit(json!({})).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    kitchen.engine.cancel(job, None, None).await.unwrap();
    let job = kitchen.end(job).await;
    assert_eq!((job.life.state, kitchen.worked.names()), (State::Cancelled, vec!["long".to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn what_a_first_step_would_refuse_is_refused_before_there_is_a_job() {
    let kitchen = Kitchen::new("[steps.a]\nkind = \"work\"\ninput = { name = \"{{ input.x }}\" }").await;
    let refused = submit(&kitchen.engine, "recipe", json!({ "recipe": "it", "input": { "x": [] } })).await.unwrap_err();
    assert_eq!((refused.name(), refused.pointer.as_deref()), ("invalid-input", Some("/input/input/x")));
    for (order, detail, pointer) in [
        (json!({ "recipe": "itt" }), "there is no recipe \"itt\"; did you mean it?", "/input/recipe"),
        (json!({ "recipe": "it", "input": { "y": 1 } }), "there is no field \"y\"; did you mean x?", "/input/input/y"),
    ] {
        let refused = submit(&kitchen.engine, "recipe", order).await.unwrap_err();
        assert_eq!((refused.detail.as_str(), refused.pointer.as_deref()), (detail, Some(pointer)));
    }
}
