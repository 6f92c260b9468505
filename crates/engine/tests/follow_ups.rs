use std::time::Duration;

use raincheck_core::{Became, EventBody, FollowUp, Json, Outcome, Problem, ProblemType, Tenant};
use raincheck_engine::{Context, FOLLOW_UPS_MAX, Failure, Idempotency, Submission};
use raincheck_store::Filter;
use serde_json::json;
use tokio::time::sleep;

use crate::support::{Fixture, Work, engine};

fn wish(input: serde_json::Value) -> Submission {
    Submission::new("test".parse().unwrap(), input.into())
}

/// Asks for a job with the input that it is given, unless that is null.
async fn ask(context: Context, input: Json) -> Result<Json, Failure> {
    if input != Json::null() {
        context.follow_up(Submission { tenant: "other".parse().unwrap(), ..wish(json!(null)) }).await?;
    }
    match input.as_str() {
        "\"fail\"" => Err(Failure::fatal(Problem::new(ProblemType::HANDLER_FAILED, "no"))),
        "\"later\"" if context.job().life.attempt == 1 => Err(Failure::transient("not yet")),
        _ => Ok(Json::null()),
    }
}

async fn count(fixture: &Fixture) -> usize {
    let now = fixture.engine.clock().now();
    fixture.store.list(Filter::default(), 1_000, now).await.unwrap().jobs.len()
}

#[tokio::test(start_paused = true)]
async fn a_completed_job_is_followed_up_by_one_of_its_tenant() {
    let fixture = engine(Work(ask)).await;
    let job = fixture.submit(|job| (job.input, job.tenant) = (json!("once").into(), "mine".parse().unwrap()));
    let job = job.await;
    fixture.end(job).await;
    assert_eq!(fixture.types(job).await, ["accepted", "started", "follow_up", "completed"]);
    let log = fixture.log(job).await;
    let EventBody::FollowUp(FollowUp { became: Became::Job(next), .. }) = log[2].body else { panic!("{log:?}") };
    let next = fixture.end(next).await;
    assert_eq!((next.spec.parent, &next.spec.tenant), (Some(job), &"mine".parse::<Tenant>().unwrap()));
}

#[tokio::test(start_paused = true)]
async fn only_the_attempt_that_completes_is_followed_up() {
    let fixture = engine(Work(ask)).await;
    let later = fixture.submit(|job| job.input = json!("later").into()).await;
    let fails = fixture.submit(|job| job.input = json!("fail").into()).await;
    fixture.end(later).await;
    fixture.end(fails).await;
    sleep(Duration::from_secs(60)).await;
    assert_eq!(count(&fixture).await, 3);
}

#[tokio::test(start_paused = true)]
async fn a_follow_up_is_checked_as_a_submission_is() {
    let work = |context: Context, input: Json| async move {
        match input.as_str() {
            "\"unknown\"" => context.follow_up(Submission::new("nobody".parse().unwrap(), Json::null())).await?,
            "\"many\"" => {
                for _ in 0..=FOLLOW_UPS_MAX {
                    context.follow_up(wish(json!(null))).await?;
                }
            }
            "\"large\"" => {
                for _ in 0..2 {
                    context.follow_up(wish(json!("x".repeat(3 << 20)))).await?;
                }
            }
            _ => {}
        }
        Ok(Json::null())
    };
    let fixture = engine(Work(work)).await;
    for (input, detail) in [("unknown", "there is no kind"), ("many", "may ask for 16"), ("large", "4194304 bytes")] {
        let job = fixture.submit(|job| job.input = json!(input).into()).await;
        match fixture.end(job).await.outcome {
            Some(Outcome::Failed(problem)) => assert!(problem.detail.contains(detail), "{problem:?}"),
            other => panic!("{input}: {other:?}"),
        }
    }
    assert_eq!(count(&fixture).await, 3);
}

#[tokio::test(start_paused = true)]
async fn follow_ups_with_one_key_are_one_job() {
    let work = |context: Context, input: Json| async move {
        if input != Json::null() {
            let idempotency = Idempotency::of(&context.job().spec.tenant, b"summary 16", None, b"");
            context.follow_up(Submission { idempotency: Some(idempotency), ..wish(json!(null)) }).await?;
        }
        Ok(Json::null())
    };
    let fixture = engine(Work(work)).await;
    for _ in 0..3 {
        let job = fixture.submit(|job| job.input = json!(1).into()).await;
        fixture.end(job).await;
    }
    assert_eq!(count(&fixture).await, 4);
}
