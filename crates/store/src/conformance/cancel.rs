//! Cancelling, in every state.

use std::time::Duration;

use raincheck_core::{Ending, EventType, JobId, Outcome, Retry, Spec, State};

use super::Backend;
use super::world::{START, World, completed, failed, spec};
use crate::{Cancel, Cancelled};

async fn ends_at_once(world: &World, job: JobId) {
    let Cancelled::Done(life) = world.cancel(job, Some("changed my mind")).await else { panic!("not cancelled") };
    assert_eq!((life.state, life.finished_at), (State::Cancelled, Some(world.now)));
    assert_eq!(world.outcome(job).await, Outcome::Cancelled(Some("changed my mind".into())));
    assert_eq!(world.story(job).await.last(), Some(&EventType::Cancelled));
    assert_eq!((world.claim(1).await.len(), world.store.waiting()), (0, 0));
}

/// A queued job.
pub async fn a_waiting_job_ends_at_once(backend: &dyn Backend) {
    let world = World::new(backend).await;
    let job = world.submit(spec()).await;
    ends_at_once(&world, job.id).await;
}

/// A job whose time has not come.
pub async fn a_scheduled_job_ends_at_once(backend: &dyn Backend) {
    let mut world = World::new(backend).await;
    let job = world.submit(Spec { run_at: START.after(Duration::from_secs(9)), ..spec() }).await;
    ends_at_once(&world, job.id).await;
    world.pass(Duration::from_secs(9));
    assert!(world.claim(1).await.is_empty());
}

/// A job that waits for its next attempt.
pub async fn a_job_between_attempts_ends_at_once(backend: &dyn Backend) {
    let world = World::new(backend).await;
    world.submit(spec()).await;
    let running = world.start().await;
    world.finish(&running, failed(Retry::Backoff)).await.unwrap();
    ends_at_once(&world, running.id).await;
}

/// A worker hears of it with its heartbeat.
pub async fn a_running_job_is_asked_to_stop(backend: &dyn Backend) {
    let world = World::new(backend).await;
    world.submit(spec()).await;
    let running = world.start().await;
    for _ in 0..2 {
        let Cancelled::Done(life) = world.cancel(running.id, Some("stop")).await else { panic!("not asked") };
        assert_eq!((life.state, life.cancel_requested), (State::Running, true));
    }
    assert_eq!(world.beat(&running, world.now).await, Ok(true));
    assert_eq!(world.append(&running, Vec::new()).await, Ok(3));
    world.finish(&running, Ending::Cancelled).await.unwrap();
    use EventType::{Accepted, CancelRequested, Started};
    assert_eq!(world.story(running.id).await, [Accepted, Started, CancelRequested, EventType::Cancelled]);
    assert_eq!(world.outcome(running.id).await, Outcome::Cancelled(None));
}

/// Work that is done and paid for is not thrown away.
pub async fn a_result_that_came_all_the_same_is_kept(backend: &dyn Backend) {
    let world = World::new(backend).await;
    world.submit(spec()).await;
    let running = world.start().await;
    world.cancel(running.id, None).await;
    assert_eq!(world.finish(&running, completed()).await.unwrap().state, State::Completed);
    world.log(running.id).await;
}

/// Too late.
pub async fn an_ended_job_says_how_it_ended(backend: &dyn Backend) {
    let world = World::new(backend).await;
    world.submit(spec()).await;
    let running = world.start().await;
    world.finish(&running, completed()).await.unwrap();
    assert_eq!(world.cancel(running.id, None).await, Cancelled::Finished(State::Completed));
    assert_eq!(world.state(running.id).await, State::Completed);
}

/// As if it did not exist.
pub async fn another_tenants_job_is_unknown(backend: &dyn Backend) {
    let world = World::new(backend).await;
    let job = world.submit(spec()).await;
    let guessed = JobId::new(job.id.key(), job.id.random() ^ 1);
    let cancel = |job, tenant: &str| Cancel { job, tenant: Some(tenant.parse().unwrap()), reason: None };
    let cancels = vec![cancel(job.id, "other"), cancel(guessed, "default"), cancel(job.id, "default")];
    let answers = world.store.cancel(cancels, world.now).await.unwrap();
    assert!(matches!(&answers[..], [Cancelled::Unknown, Cancelled::Unknown, Cancelled::Done(_)]), "{answers:?}");
}
