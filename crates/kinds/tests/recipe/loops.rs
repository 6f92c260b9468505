//! A step that is done for each item of a list.

use serde_json::json;

use super::{Kitchen, problem, result};

#[tokio::test(start_paused = true)]
async fn so_many_are_done_at_once_and_what_they_give_stands_in_the_order_of_the_list() {
    let kitchen = Kitchen::new(
        r#"
result = "{{ steps.each | map(attribute='name') | list }}"
[steps.each]
kind = "work"
for_each = "input.x"
concurrency = 3
input = { name = "{{ item.n ~ '@' ~ index }}", seconds = "{{ item.s }}" }
"#,
    )
    .await;
    let items: Vec<_> = (0..10).map(|n| json!({ "n": format!("n{n}"), "s": 10 - n })).collect();
    let job = kitchen.run(json!({ "x": items })).await;
    let names: Vec<String> = (0..10).map(|n| format!("n{n}@{n}")).collect();
    assert_eq!((result(&job), kitchen.worked.peak()), (json!(names), 3));
    let keys: std::collections::BTreeSet<String> = kitchen.worked.calls().into_iter().map(|call| call.key).collect();
    assert!(keys.len() == 10 && keys.contains(&format!("{}/each[9]", job.id)), "{keys:?}");
}

#[tokio::test(start_paused = true)]
async fn of_no_items_nothing_is_done_and_of_no_list_the_job_fails() {
    let kitchen = Kitchen::new("[steps.each]\nkind = \"work\"\nfor_each = \"input.x\"\ninput = { name = \"a\" }").await;
    assert_eq!(result(&kitchen.run(json!({ "x": [] })).await), json!([]));
    let job = kitchen.run(json!({ "x": "abc" })).await;
    assert_eq!(problem(&job).detail, "recipe it, each: `for_each` gives no list");
    assert_eq!(kitchen.worked.names(), [""; 0]);
    let job = kitchen.run(json!({ "x": vec![0; 1_001] })).await;
    assert_eq!(problem(&job).detail, "recipe it, each: `for_each` gives a list of 1001 items; 1000 may be");
}

#[tokio::test(start_paused = true)]
async fn only_the_items_that_failed_are_done_again() {
    let kitchen = Kitchen::new(
        r#"
[steps.each]
kind = "work"
for_each = "input.x"
input = { name = "{{ item }}", fails = "{{ 2 if item == 'b' else 0 }}" }
"#,
    )
    .await;
    let job = kitchen.run(json!({ "x": ["a", "b", "c"] })).await;
    assert_eq!(job.life.attempt, 3);
    assert_eq!(kitchen.worked.names(), ["a", "b", "c", "b", "b"]);
    assert_eq!(result(&job)[1], json!({ "name": "b", "call": 3 }));
}

#[tokio::test(start_paused = true)]
async fn an_item_that_failed_for_good_is_replaced_and_the_others_stay() {
    let kitchen = Kitchen::new(
        r#"
result = { all = "{{ steps.each }}", degraded = "{{ degraded }}" }
[steps.each]
kind = "work"
for_each = "input.x"
input = { name = "{{ item }}", fails = "{{ 9 if item == 'b' else 0 }}", how = "never" }
on_error = { use = "no {{ item }}: {{ error.name }}" }
"#,
    )
    .await;
    let job = kitchen.run(json!({ "x": ["a", "b"] })).await;
    let expected = json!([{ "name": "a", "call": 1 }, "no b: upstream-closed"]);
    assert_eq!(result(&job), json!({ "all": expected, "degraded": true }));
}
