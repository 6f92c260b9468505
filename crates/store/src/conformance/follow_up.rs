//! Jobs that a completed attempt asks for.

use raincheck_core::{Became, Ending, EventBody, EventType, FollowUp, Job, JobId, ProblemType, Refusal, Retry, Spec};

use super::Backend;
use super::world::{START, World, completed, failed, input, keyed, new, spec};
use crate::{Besides, FOLLOW_UPS_MAX, Limits, NewJob};

fn child(parent: JobId) -> Spec {
    Spec { parent: Some(parent), kind: "after".parse().unwrap(), run_at: START, ..spec() }
}

fn asking(follow_ups: Vec<NewJob>) -> Besides {
    Besides { follow_ups, ..Besides::default() }
}

/// What the log says of the follow-up jobs.
async fn told(world: &World, job: JobId) -> Vec<Became> {
    let log = world.log(job).await;
    let told = |body| match body {
        EventBody::FollowUp(FollowUp { became, .. }) => Some(became),
        _ => None,
    };
    log.into_iter().filter_map(|event| told(event.body)).collect()
}

fn is_dropped(became: &Became, problem: ProblemType) -> bool {
    matches!(became, Became::Error(error) if error.is(problem))
}

async fn running(world: &World) -> Job {
    world.submit(spec()).await;
    world.start().await
}

/// With the completion or not at all, and the log of each tells of the other.
pub async fn follow_ups_are_accepted_with_the_completion(backend: &dyn Backend) {
    let world = World::new(backend).await;
    let job = running(&world).await;
    let besides = asking(vec![new(child(job.id)), new(child(job.id))]);
    world.finish_besides(&job, completed(), besides).await.unwrap();
    let story = world.story(job.id).await;
    assert_eq!(story[2..], [EventType::FollowUp, EventType::FollowUp, EventType::Completed]);
    let told = told(&world, job.id).await;
    let [Became::Job(first), Became::Job(second)] = told[..] else { panic!("{told:?}") };
    for id in [first, second] {
        assert_eq!(*world.job(id).await.spec, child(job.id));
        assert_eq!(world.store.input(id).await.unwrap(), Some(input(1)));
        assert_eq!(world.story(id).await, [EventType::Accepted]);
    }
    assert_eq!(world.store.waiting(), 2);
    let heard: Vec<_> = world.heard().iter().map(|change| (change.job, change.event.body.event_type())).collect();
    assert!(heard.contains(&(first, EventType::Accepted)) && heard.contains(&(second, EventType::Accepted)));
}

/// Not after a failure, a cancel, a stale write or a repeated one.
pub async fn nothing_is_followed_up_unless_the_job_completes(backend: &dyn Backend) {
    let world = World::new(backend).await;
    for ending in [failed(Retry::Never), failed(Retry::Backoff), Ending::Released, Ending::Cancelled] {
        let job = running(&world).await;
        world.finish_besides(&job, ending, asking(vec![new(child(job.id))])).await.unwrap();
        world.cancel(job.id, None).await;
        assert_eq!(told(&world, job.id).await, []);
    }
    let job = running(&world).await;
    let stale = Job { life: raincheck_core::Life { fence: job.life.fence.next(), ..job.life.clone() }, ..job.clone() };
    let refused = world.finish_besides(&stale, completed(), asking(vec![new(child(job.id))])).await;
    assert_eq!(refused, Err(Refusal::LeaseLost));
    world.finish_besides(&job, completed(), asking(vec![new(child(job.id))])).await.unwrap();
    assert!(world.finish_besides(&job, completed(), asking(vec![new(child(job.id))])).await.is_err());
    assert_eq!((world.store.waiting(), told(&world, job.id).await.len()), (1, 1));
}

/// Several jobs that ask for the same get the same.
pub async fn a_follow_up_with_a_key_is_accepted_once(backend: &dyn Backend) {
    let world = World::new(backend).await;
    let mut all = Vec::new();
    for fingerprint in [1, 1, 2] {
        let job = running(&world).await;
        let besides = asking(vec![keyed(child(job.id), 7, fingerprint)]);
        world.finish_besides(&job, completed(), besides).await.unwrap();
        all.extend(told(&world, job.id).await);
    }
    assert!(matches!(all[0], Became::Job(_)) && all[0] == all[1], "{all:?}");
    assert!(is_dropped(&all[2], ProblemType::IDEMPOTENCY_KEY_REUSED), "{all:?}");
    assert_eq!(world.store.waiting(), 1);
}

/// The job itself completes, and says what was dropped.
pub async fn follow_ups_over_quota_are_dropped_aloud(backend: &dyn Backend) {
    let world = World::with(backend, Limits { waiting_per_tenant: 1, ..Limits::default() }).await;
    let job = running(&world).await;
    let besides = asking(vec![new(child(job.id)), new(child(job.id))]);
    world.finish_besides(&job, completed(), besides).await.unwrap();
    let told = told(&world, job.id).await;
    assert!(matches!(told[0], Became::Job(_)) && is_dropped(&told[1], ProblemType::QUOTA_REACHED), "{told:?}");
    assert_eq!(world.store.waiting(), 1);
}

/// Whoever asks.
pub async fn so_many_follow_ups_are_taken(backend: &dyn Backend) {
    let world = World::new(backend).await;
    let job = running(&world).await;
    let besides = asking((0..=FOLLOW_UPS_MAX).map(|_| new(child(job.id))).collect());
    world.finish_besides(&job, completed(), besides).await.unwrap();
    assert_eq!((world.store.waiting(), told(&world, job.id).await.len()), (FOLLOW_UPS_MAX, FOLLOW_UPS_MAX));
}

/// One behind its parent in a chain has its turn when the parent has ended.
pub async fn a_follow_up_may_share_its_parents_key(backend: &dyn Backend) {
    let world = World::new(backend).await;
    let chained = Spec { concurrency_key: Some("k".parse().unwrap()), ..spec() };
    world.submit(chained.clone()).await;
    let job = world.start().await;
    let besides = asking(vec![new(Spec { parent: Some(job.id), ..chained })]);
    world.finish_besides(&job, completed(), besides).await.unwrap();
    assert_eq!(world.start().await.spec.parent, Some(job.id));
}

/// The jobs, and what the log says of them.
pub async fn follow_ups_are_there_again_after_a_restart(backend: &dyn Backend) {
    if !backend.is_durable() {
        return;
    }
    let world = World::new(backend).await;
    let job = running(&world).await;
    world.finish_besides(&job, completed(), asking(vec![keyed(child(job.id), 7, 1)])).await.unwrap();
    let before = told(&world, job.id).await;
    let world = world.reopened(backend).await;
    assert_eq!(told(&world, job.id).await, before);
    let [Became::Job(id)] = before[..] else { panic!("{before:?}") };
    assert_eq!(world.job(id).await.spec.parent, Some(job.id));
    let again = world.accept(keyed(child(job.id), 7, 1)).await;
    assert!(matches!(again, crate::Acceptance::Existing(known) if known.id == id));
}
