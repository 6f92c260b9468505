//! What a running attempt may do, and how it ends.

use std::time::Duration;

use raincheck_core::{
    Ending, EventType, JobId, LEASE_LOSSES_MAX, Note, Outcome, Progress, Refusal, Retry, STEPS_MAX, Spec, State,
    StepRecord,
};
use serde_json::json;

use super::Backend;
use super::world::{LEASE, World, completed, failed, problem, spec, worker};

/// A job that found its upstream closed waits as long as it is told to, as often as it must, and loses no attempt.
pub async fn a_postponed_job_comes_back_at_no_cost(backend: &dyn Backend) {
    let mut world = World::new(backend).await;
    let id = world.submit(Spec { max_attempts: 1, ..spec() }).await.id;
    for _ in 0..3 {
        let running = world.start().await;
        let life = world.finish(&running, failed(Retry::Postpone(60_000))).await.unwrap();
        assert_eq!(
            (life.state, life.failures, life.run_at),
            (State::Waiting, 0, world.now.after(Duration::from_secs(60)))
        );
        world.pass(Duration::from_secs(59));
        assert!(world.claim(1).await.is_empty());
        world.pass(Duration::from_secs(1));
    }
    assert_eq!(world.job(id).await.life.attempt, 3);
    let last = world.start().await;
    assert_eq!(world.finish(&last, completed()).await.unwrap().state, State::Completed);
}

/// An attempt that lost its lease can change nothing.
pub async fn a_stale_token_changes_nothing(backend: &dyn Backend) {
    let mut world = World::new(backend).await;
    world.submit_now().await;
    let stale = world.start().await;
    world.pass(LEASE);
    assert_eq!(world.sweep().await.lapsed, 1);
    let note = || vec![Note::Output(json!("late").into())];
    for again in 0..2 {
        let before = (world.job(stale.id).await, world.log(stale.id).await);
        assert_eq!(world.beat(&stale, world.now.after(LEASE)).await, Err(Refusal::LeaseLost));
        assert_eq!(world.append(&stale, note()).await, Err(Refusal::LeaseLost));
        assert_eq!(world.finish_with(&stale, note(), completed()).await, Err(Refusal::LeaseLost));
        assert_eq!((world.job(stale.id).await, world.log(stale.id).await), before);
        if again == 0 {
            assert_eq!(world.start().await.life.attempt, 2);
        }
    }
}

/// The random part of an id counts.
pub async fn a_guessed_id_changes_nothing(backend: &dyn Backend) {
    let world = World::new(backend).await;
    world.submit_now().await;
    let running = world.start().await;
    let mut guessed = running.clone();
    guessed.id = JobId::new(running.id.key(), running.id.random() ^ 1);
    assert_eq!(world.beat(&guessed, world.now.after(LEASE)).await, Err(Refusal::LeaseLost));
    assert_eq!(world.append(&guessed, Vec::new()).await, Err(Refusal::LeaseLost));
    assert_eq!(world.finish(&guessed, completed()).await, Err(Refusal::LeaseLost));
    assert_eq!(world.store.get(guessed.id, None).await.unwrap(), None);
    assert_eq!(world.store.input(guessed.id).await.unwrap(), None);
    assert_eq!(world.store.delete(guessed.id, None).await.unwrap(), None);
    assert_eq!(world.state(running.id).await, State::Running);
}

/// A late heartbeat of the past does not end a lease early.
pub async fn a_heartbeat_keeps_the_lease_and_never_shortens_it(backend: &dyn Backend) {
    let mut world = World::new(backend).await;
    world.submit_now().await;
    let job = world.start().await;
    world.pass(LEASE / 2);
    let until = world.now.after(LEASE);
    assert_eq!(world.beat(&job, until).await, Ok(false));
    assert_eq!(world.beat(&job, world.now).await, Ok(false));
    assert_eq!(world.job(job.id).await.life.lease.unwrap().until, until);
    world.pass(LEASE - Duration::from_millis(1));
    assert_eq!(world.sweep().await.lapsed, 0);
    world.pass(Duration::from_millis(1));
    assert_eq!(world.sweep().await.lapsed, 1);
    assert_eq!(world.log(job.id).await.len(), 3);
}

/// Another worker takes over, and the loss is not held against the attempts.
pub async fn a_lapsed_lease_gives_the_job_back(backend: &dyn Backend) {
    let mut world = World::new(backend).await;
    world.submit_now().await;
    let job = world.start().await;
    world.pass(LEASE);
    world.sweep().await;
    let life = world.job(job.id).await.life;
    assert_eq!((life.state, life.lease_losses, life.failures), (State::Queued, 1, 0));
    let again = world.claim_as("w2", 1).await.pop().unwrap().job;
    assert_eq!((again.id, again.life.attempt), (job.id, 2));
    assert!(again.life.fence > job.life.fence);
    world.finish(&again, completed()).await.unwrap();
    use EventType::{Accepted, Completed, LeaseLost, Started};
    assert_eq!(world.story(job.id).await, [Accepted, Started, LeaseLost, Started, Completed]);
}

/// What kills its workers is not given to yet another.
pub async fn the_third_lost_lease_quarantines(backend: &dyn Backend) {
    let mut world = World::new(backend).await;
    let job = world.submit_now().await;
    for loss in 1..=LEASE_LOSSES_MAX {
        assert_eq!(world.start().await.life.attempt, loss);
        world.pass(LEASE);
        world.sweep().await;
    }
    let Outcome::Failed(problem) = world.outcome(job.id).await else { panic!("not failed") };
    assert_eq!(problem.name(), "quarantined");
    assert!(world.claim(1).await.is_empty());
    world.log(job.id).await;
}

/// Nobody waits for a lease whose holder is known to be gone.
pub async fn the_leases_of_a_dead_worker_lapse_at_once(backend: &dyn Backend) {
    let world = World::new(backend).await;
    for _ in 0..3 {
        world.submit_now().await;
    }
    let dead = world.claim_as("dead", 2).await;
    let alive = world.claim_as("alive", 1).await;
    assert_eq!(world.store.worker_died(&worker("dead"), world.now).await.unwrap(), 2);
    assert_eq!(world.store.worker_died(&worker("dead"), world.now).await.unwrap(), 0);
    for claimed in &dead {
        assert_eq!(world.state(claimed.job.id).await, State::Queued);
    }
    assert_eq!(world.state(alive[0].job.id).await, State::Running);
    assert_eq!(world.claim(10).await.len(), 2);
}

/// Until the attempts are used up.
pub async fn a_failed_attempt_is_tried_again_after_its_backoff(backend: &dyn Backend) {
    let mut world = World::new(backend).await;
    let job = world.submit_now().await;
    for wait in [999, 1_999] {
        let running = world.start().await;
        let life = world.finish(&running, failed(Retry::Backoff)).await.unwrap();
        assert_eq!((life.state, life.run_at), (State::Waiting, world.now.after(Duration::from_millis(wait))));
        assert!(world.claim(1).await.is_empty());
        assert_eq!(world.store.waiting(), 1);
        world.now = life.run_at;
    }
    let last = world.start().await;
    assert_eq!(world.finish(&last, failed(Retry::Backoff)).await.unwrap().state, State::Failed);
    assert_eq!(world.outcome(job.id).await, Outcome::Failed(problem()));
    assert_eq!(world.log(job.id).await.len(), 7);
}

/// An error that would come again is not asked for again.
pub async fn an_attempt_that_cannot_succeed_is_not_tried_again(backend: &dyn Backend) {
    let world = World::new(backend).await;
    let job = world.submit_now().await;
    let running = world.start().await;
    assert_eq!(world.finish(&running, failed(Retry::Never)).await.unwrap().state, State::Failed);
    assert_eq!(world.story(job.id).await.last(), Some(&EventType::Failed));
}

/// The other side knows best when.
pub async fn retry_after_is_respected(backend: &dyn Backend) {
    let world = World::new(backend).await;
    world.submit_now().await;
    let running = world.start().await;
    let wait = Duration::from_secs(100);
    let life = world.finish(&running, failed(Retry::After(wait))).await.unwrap();
    assert!(life.run_at >= world.now.after(wait));
}

/// A worker that stops hands back what it has not done.
pub async fn a_released_attempt_costs_nothing(backend: &dyn Backend) {
    let world = World::new(backend).await;
    let job = world.submit_now().await;
    for attempt in 1..=5 {
        let running = world.start().await;
        assert_eq!(running.life.attempt, attempt);
        let life = world.finish(&running, Ending::Released).await.unwrap();
        assert_eq!((life.state, life.failures, life.lease_losses), (State::Queued, 0, 0));
    }
    assert_eq!(world.log(job.id).await.len(), 11);
}

/// And begins anew with the next.
pub async fn progress_never_falls_within_an_attempt(backend: &dyn Backend) {
    let world = World::new(backend).await;
    world.submit_now().await;
    let running = world.start().await;
    let progress = |percent, message: &str| Note::Progress(Progress::percent(percent, message));
    assert_eq!(world.append(&running, vec![progress(50.0, "half"), progress(20.0, "again")]).await, Ok(4));
    assert_eq!(world.append(&running, vec![progress(30.0, "still")]).await, Ok(5));
    assert_eq!(world.job(running.id).await.life.progress, Some(Progress::percent(50.0, "still")));
    world.finish(&running, failed(Retry::After(Duration::ZERO))).await.unwrap();
    assert_eq!(world.job(running.id).await.life.progress, Some(Progress::percent(50.0, "still")));
    let world = World { now: world.job(running.id).await.life.run_at, ..world };
    let again = world.start().await;
    assert_eq!(again.life.progress, None);
    world.append(&again, vec![progress(10.0, "anew")]).await.unwrap();
    world.finish(&again, completed()).await.unwrap();
    assert_eq!(world.job(again.id).await.life.progress, Some(Progress::percent(10.0, "anew")));
    world.log(again.id).await;
}

/// Whose answer was lost says it again. What others had to say meanwhile is not taken for it.
pub async fn a_repeated_append_adds_nothing_twice(backend: &dyn Backend) {
    let mut world = World::new(backend).await;
    world.submit_now().await;
    let first = world.start().await;
    let notes = |names: &[&str]| names.iter().map(|name| Note::Output(json!(name).into())).collect::<Vec<_>>();
    for again in 0..3 {
        assert_eq!(world.append_after(&first, Some(2), notes(&["a", "b"])).await, Ok(4), "{again}");
    }
    world.cancel(first.id, None).await;
    assert_eq!(world.append_after(&first, Some(2), notes(&["a", "b"])).await, Ok(5), "and the wish to cancel");
    assert_eq!(world.append_after(&first, Some(4), notes(&["c"])).await, Ok(6));
    assert_eq!(world.append_after(&first, Some(4), notes(&["c"])).await, Ok(6));
    // What was added to the repetition is new.
    assert_eq!(world.append_after(&first, Some(4), notes(&["c", "d"])).await, Ok(7));
    let step = || vec![Note::Step(StepRecord { name: "s".into(), result: json!(1).into() })];
    assert_eq!(world.append_after(&first, Some(7), step()).await, Ok(8));
    assert_eq!(world.append_after(&first, Some(7), step()).await, Ok(8));
    assert_eq!(world.job(first.id).await.life.steps, 1);
    use EventType::{Accepted, CancelRequested, Output, Started, Step};
    let story = [Accepted, Started, Output, Output, CancelRequested, Output, Output, Step];
    assert_eq!(world.story(first.id).await, story);
    // Nor is what an earlier attempt said.
    world.submit_now().await;
    let attempt = world.start().await;
    world.append_after(&attempt, Some(0), notes(&["a"])).await.unwrap();
    world.finish(&attempt, failed(Retry::After(Duration::ZERO))).await.unwrap();
    world.pass(Duration::from_secs(1));
    let attempt = world.start().await;
    for _ in 0..2 {
        assert_eq!(world.append_after(&attempt, Some(0), notes(&["a"])).await, Ok(6));
    }
    assert_eq!(world.append_after(&first, Some(8), notes(&["late"])).await, Ok(9));
}

/// What is recorded is not computed again.
pub async fn steps_are_given_to_later_attempts(backend: &dyn Backend) {
    let mut world = World::new(backend).await;
    world.submit_now().await;
    let step = |name: &str| StepRecord { name: name.into(), result: json!({"of": name}).into() };
    let first = world.start().await;
    world.append(&first, vec![Note::Step(step("one")), Note::Output(json!(1).into())]).await.unwrap();
    world.append(&first, vec![Note::Step(step("two"))]).await.unwrap();
    world.pass(LEASE);
    world.sweep().await;
    let second = world.claim(1).await.pop().unwrap();
    assert_eq!(second.steps, [step("one"), step("two")]);
    world.finish_with(&second.job, vec![Note::Step(step("three"))], completed()).await.unwrap();
    assert_eq!(world.store.steps(first.id).await.unwrap(), [step("one"), step("two"), step("three")]);
    assert_eq!(world.job(first.id).await.life.steps, 3);
}

/// No more of them than a job may have.
pub async fn so_many_steps_are_recorded(backend: &dyn Backend) {
    let world = World::new(backend).await;
    world.submit_now().await;
    let step = |number: u32| Note::Step(StepRecord { name: number.to_string(), result: json!(number).into() });
    let running = world.start().await;
    world.append(&running, (0..STEPS_MAX).map(step).collect()).await.unwrap();
    assert_eq!(world.append(&running, vec![step(STEPS_MAX)]).await, Err(Refusal::StepsFull));
    world.finish_with(&running, vec![step(STEPS_MAX)], completed()).await.unwrap();
    assert_eq!(world.job(running.id).await.life.steps, STEPS_MAX);
    assert_eq!(world.state(running.id).await, State::Completed);
}

/// Exactly one end, once.
pub async fn an_ended_job_stays_as_it_is(backend: &dyn Backend) {
    let mut world = World::new(backend).await;
    world.submit_now().await;
    let running = world.start().await;
    world.finish(&running, completed()).await.unwrap();
    let before = (world.job(running.id).await, world.log(running.id).await);
    let ended = || Refusal::Finished(State::Completed);
    assert_eq!(world.finish(&running, failed(Retry::Never)).await, Err(ended()));
    assert_eq!(world.append(&running, Vec::new()).await, Err(ended()));
    assert_eq!(world.beat(&running, world.now).await, Err(ended()));
    world.pass(LEASE);
    world.sweep().await;
    world.store.worker_died(&worker("w1"), world.now).await.unwrap();
    assert_eq!((world.job(running.id).await, world.log(running.id).await), before);
}
