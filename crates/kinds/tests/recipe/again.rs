//! When a step is tried again, and when no more.

use std::time::Duration;

use serde_json::json;

use super::{Kitchen, problem, result};

#[tokio::test(start_paused = true)]
async fn what_is_recorded_is_not_done_again_in_another_attempt() {
    let kitchen = Kitchen::new(
        r#"
[steps.a]
kind = "work"
input = { name = "a" }
[steps.left_out]
kind = "work"
if = "false"
input = { name = "never" }
[steps.b]
kind = "work"
input = { name = "b", fails = 2 }
"#,
    )
    .await;
    let job = kitchen.run(json!({})).await;
    assert_eq!((job.life.attempt, job.life.failures), (3, 2));
    assert_eq!(kitchen.worked.names(), ["a", "b", "b", "b"]);
    let keys: Vec<String> = kitchen.worked.calls().into_iter().map(|call| call.key).collect();
    assert_eq!(keys[1], keys[3], "a provider can tell that it is the same call");
}

#[tokio::test(start_paused = true)]
async fn a_step_that_counts_its_failures_costs_the_job_none() {
    let kitchen =
        Kitchen::new("[steps.a]\nkind = \"work\"\nmax_attempts = 30\ninput = { name = \"a\", fails = 29 }").await;
    let job = kitchen.run(json!({})).await;
    assert_eq!((job.life.failures, job.life.attempt, kitchen.worked.names().len()), (0, 30, 30));
    let kitchen =
        Kitchen::new("[steps.a]\nkind = \"work\"\nmax_attempts = 2\ninput = { name = \"a\", fails = 9 }").await;
    let job = kitchen.run(json!({})).await;
    assert_eq!((problem(&job).detail.as_str(), kitchen.worked.names().len()), ("step `a`: a would not", 2));
}

#[tokio::test(start_paused = true)]
async fn a_try_takes_no_longer_than_it_may() {
    let kitchen = Kitchen::new(
        r#"
[steps.slow]
kind = "work"
timeout = "5s"
max_attempts = 2
input = { name = "slow", seconds = 60 }
on_error = { use = "{{ error }}" }
"#,
    )
    .await;
    let job = kitchen.run(json!({})).await;
    assert_eq!(result(&job)["name"], "attempt-timed-out");
    assert_eq!(result(&job)["detail"], "step `slow`: it took longer than the 5 s that it may");
    let calls = kitchen.worked.calls();
    assert_eq!(calls.len(), 2);
    assert!(calls[1].began - calls[0].began >= Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn while_an_upstream_is_closed_a_step_waits_until_its_deadline_and_no_longer() {
    let steps = |wait: u64| {
        format!(
            r#"
[steps.ask]
kind = "work"
deadline = "10s"
input = {{ name = "ask", fails = 99, how = "postpone", wait = {wait} }}
on_error = {{ use = "{{{{ error }}}}" }}
"#
        )
    };
    // It comes back while there is time, and is given up as soon as there will not be.
    let kitchen = Kitchen::new(&steps(4)).await;
    let job = kitchen.run(json!({})).await;
    assert_eq!((kitchen.worked.names().len(), job.life.failures), (3, 0));
    assert_eq!(result(&job)["detail"], "step `ask`: ask would not");
    let took = job.life.finished_at.unwrap().since(job.life.started_at.unwrap());
    assert!(took < Duration::from_secs(10), "{took:?}");
    // Where it is told to come back too late it does not wait at all, and says when it would have been.
    let kitchen = Kitchen::new(&steps(60)).await;
    let job = kitchen.run(json!({})).await;
    assert_eq!(kitchen.worked.names().len(), 1);
    let at = job.life.started_at.unwrap().after(Duration::from_secs(60)).to_string();
    assert_eq!(result(&job)["retry_at"].as_str().map(|told| &told[..19]), Some(&at[..19]));
    let took = job.life.finished_at.unwrap().since(job.life.started_at.unwrap());
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn without_a_deadline_a_step_waits_for_its_upstream_for_as_long_as_it_takes() {
    let kitchen = Kitchen::new(
        r#"
[steps.ask]
kind = "work"
max_attempts = 1
input = { name = "ask", fails = 50, how = "postpone", wait = 60 }
"#,
    )
    .await;
    let job = kitchen.run(json!({})).await;
    assert_eq!((result(&job)["call"].as_u64(), job.life.failures), (Some(51), 0));
}

#[tokio::test(start_paused = true)]
async fn a_step_that_hangs_is_given_up_at_its_deadline() {
    let kitchen =
        Kitchen::new("[steps.a]\nkind = \"work\"\ndeadline = \"3s\"\ninput = { name = \"a\", seconds = 600 }").await;
    let job = kitchen.run(json!({})).await;
    assert!(problem(&job).detail.starts_with("step `a`: it took longer than the "), "{:?}", problem(&job));
    assert_eq!(job.life.attempt, 1);
}

#[tokio::test(start_paused = true)]
async fn while_an_upstream_fails_a_step_is_given_up_before_its_deadline_and_says_when_it_might_go_better() {
    let kitchen = Kitchen::new(
        r#"
[steps.ask]
kind = "work"
deadline = "60s"
input = { name = "ask", fails = 99 }
on_error = { use = "{{ error }}" }
"#,
    )
    .await;
    let job = kitchen.run(json!({})).await;
    assert!(kitchen.worked.names().len() > 2 && job.life.failures == 0, "{:?}", job.life);
    let (start, end) = (job.life.started_at.unwrap(), job.life.finished_at.unwrap());
    assert!(end.since(start) <= Duration::from_secs(60), "{:?}", end.since(start));
    assert!(result(&job)["retry_at"].as_str().unwrap() > end.to_string().as_str(), "{:?}", result(&job));
}
