//! From Rust: what a wish comes to, and how a job ends.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use raincheck::{
    Backoff, BlockingContext, Context, Failure, JobError, Problem, ProblemType, Progress, Raincheck, SubmitError,
    blocking, handler,
};
use serde_json::json;

use super::{Sum, program};
use crate::support::Place;

fn refusal(error: SubmitError) -> (Option<String>, String) {
    match error {
        SubmitError::Refused(problem) => (problem.pointer.map(String::from), problem.detail),
        error => panic!("it is no refusal: {error}"),
    }
}

#[tokio::test]
async fn a_typed_input_comes_to_a_typed_result() {
    let place = Place::new();
    let raincheck = program(&place).start().await.expect("it starts");
    let wish = raincheck.submit("sum", &Sum { of: vec![20, 22] }).priority("P1".parse().expect("a priority"));
    let job = wish.label("for", "the tests").tenant("ann").queue("sums").send().await.expect("it is accepted");
    assert_eq!(job.result::<u32>().await.expect("a result"), 42);
    let spec = job.get().await.expect("it can be read").expect("it is there").spec;
    let said = (spec.priority.number(), spec.tenant.as_str(), spec.queue.as_str(), spec.labels["for"].as_str());
    assert_eq!(said, (1, "ann", "sums", "the tests"));
    let other = job.result::<String>().await;
    assert!(matches!(other, Err(JobError::OtherType(_))), "{other:?}");
    raincheck.shutdown().await.expect("it stops in order");
}

#[tokio::test]
async fn what_cannot_be_is_refused_with_its_place() {
    let place = Place::new();
    let even = handler("even", async |_: Context, number: u32| Ok(number / 2)).check(|number| {
        let problem = || Problem::new(ProblemType::INVALID_INPUT, "expected an even number").at("/input");
        if number % 2 == 0 { Ok(()) } else { Err(problem()) }
    });
    let raincheck = program(&place).register(even).start().await.expect("it starts");
    let refused = async |kind: &str, input: serde_json::Value| {
        refusal(raincheck.submit(kind, &input).send().await.map(|job| job.id()).expect_err("it is refused"))
    };
    let at = |pointer: &str, detail: &str| (Some(pointer.to_owned()), detail.to_owned());
    let expected = "invalid type: integer `7`, expected an array";
    assert_eq!(refused("sum", json!({ "of": 7 })).await, at("/input/of", expected));
    assert_eq!(refused("even", json!(7)).await, at("/input", "expected an even number"));
    assert_eq!(refused("sun", json!(7)).await, at("/kind", "there is no kind \"sun\" here; there are: even, sum"));
    let (pointer, _) = refused("no kind", json!(7)).await;
    assert_eq!(pointer.as_deref(), Some("/kind"));
    let large = raincheck.submit("sum", &"x".repeat(2 << 20)).send().await.err().map(refusal);
    assert!(large.is_some_and(|(_, detail)| detail.contains("1048576 bytes")));
    let tenant = raincheck.submit("even", &2).tenant("no tenant").send().await.err().map(refusal);
    assert_eq!(tenant.and_then(|(pointer, _)| pointer).as_deref(), Some("/tenant"));
    raincheck.shutdown().await.expect("it stops in order");
}

#[tokio::test]
async fn the_same_key_gives_the_same_job() {
    let place = Place::new();
    let raincheck = program(&place).start().await.expect("it starts");
    let send = async |of: Vec<u32>| raincheck.submit("sum", &Sum { of }).idempotency_key("today").send().await;
    let (first, again) = (send(vec![1]).await.expect("accepted"), send(vec![1]).await.expect("accepted before"));
    assert_eq!((first.id(), first.is_new(), again.is_new()), (again.id(), true, false));
    let (_, detail) = refusal(send(vec![2]).await.expect_err("the key stands for another request"));
    assert!(detail.contains("already stands for"), "{detail}");
    raincheck.shutdown().await.expect("it stops in order");
}

#[tokio::test]
async fn what_fails_is_tried_again_if_that_may_help() {
    let place = Place::new();
    let tries = AtomicU32::new(0);
    let flaky = handler("flaky", move |_: Context, (): ()| {
        let number = tries.fetch_add(1, Ordering::SeqCst) + 1;
        async move { if number < 3 { Err(Failure::transient("not yet")) } else { Ok(number) } }
    });
    let soon = Backoff { base_ms: 1, cap_ms: 1 };
    let hopeless = async |_: Context, (): ()| {
        let number = "seven".parse::<u32>().map_err(Failure::permanent)?;
        Ok(number)
    };
    let builder = program(&place).register(flaky.backoff(soon)).handler("hopeless", hopeless);
    let raincheck = builder.start().await.expect("it starts");
    let job = raincheck.submit("flaky", &()).send().await.expect("it is accepted");
    assert_eq!(job.result::<u32>().await.expect("the third try does it"), 3);
    let job = raincheck.submit("hopeless", &()).send().await.expect("it is accepted");
    let Err(JobError::Failed(problem)) = job.result::<u32>().await else { panic!("it fails") };
    assert_eq!(problem.detail, "invalid digit found in string");
    assert_eq!(job.get().await.expect("it can be read").expect("it is there").life.attempt, 1);
    raincheck.shutdown().await.expect("it stops in order");
}

#[tokio::test]
async fn a_job_is_cancelled_or_expires() {
    let place = Place::new();
    let wait = async |context: Context, (): ()| {
        context.progress(Progress::percent(1.0, "waiting"));
        context.cancelled().await;
        Err::<(), _>(Failure::cancelled())
    };
    let raincheck = program(&place).handler("wait", wait).start().await.expect("it starts");
    let job = raincheck.submit("wait", &()).send().await.expect("it is accepted");
    let mut log = job.follow(1).await.expect("its log can be read");
    assert_eq!(log.next().await.expect("it starts")[0].seq, 2);
    job.cancel("changed my mind").await.expect("it is cancelled");
    let cancelled = job.result::<()>().await;
    assert!(matches!(cancelled, Err(JobError::Cancelled(None))), "{cancelled:?}");
    let later = raincheck.submit("wait", &()).delay(Duration::from_secs(3_600)).send().await.expect("it is accepted");
    later.cancel("changed my mind").await.expect("it is cancelled");
    let Err(error) = later.result::<()>().await else { panic!("it is cancelled") };
    assert_eq!(error.to_string(), "the job was cancelled: changed my mind");
    let soon = raincheck.engine().clock().now().after(Duration::from_millis(200));
    let job = raincheck.submit("wait", &()).deadline(soon).send().await.expect("it is accepted");
    let expired = job.result::<()>().await;
    assert!(matches!(expired, Err(JobError::Expired)), "{expired:?}");
    raincheck.shutdown().await.expect("it stops in order");
}

#[tokio::test]
async fn work_that_blocks_has_threads_of_its_own() {
    let place = Place::new();
    let count = blocking("words.count", |context: &BlockingContext, text: String| {
        let words = context.step("count", || Ok(text.split_whitespace().count()))?;
        Ok((words, std::thread::current().name().map(str::to_owned)))
    });
    let raincheck = program(&place).register_blocking(count).start().await.expect("it starts");
    let job = raincheck.submit("words.count", "two words").send().await.expect("it is accepted");
    let (words, thread) = job.result::<(usize, Option<String>)>().await.expect("a result");
    assert_eq!((words, thread.as_deref()), (2, Some("job words.count")));
    raincheck.shutdown().await.expect("it stops in order");
}

#[tokio::test]
#[should_panic = "the kind \"sum\" has a handler already"]
async fn a_kind_has_one_handler() {
    drop(program(&Place::new()).handler("sum", super::add));
}

#[tokio::test]
#[should_panic = "\"no kind\" cannot name a kind"]
async fn a_kind_has_a_name_that_can_be_used_everywhere() {
    drop(Raincheck::builder().handler("no kind", super::add));
}
