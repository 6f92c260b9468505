//! Accepting jobs, idempotency keys, quotas.

use std::time::Duration;

use raincheck_core::{EventBody, Spec, State, Time};

use super::Backend;
use super::world::{START, World, completed, input, keyed, new, spec};
use crate::{Acceptance, IDEMPOTENCY_WINDOW, Limits};

/// What is stored is what was asked for, from the first moment.
pub async fn a_job_is_accepted_as_it_was_asked_for(backend: &dyn Backend) {
    let world = World::new(backend).await;
    let whole = Spec {
        deadline: Some(START.after(Duration::from_secs(60))),
        run_at: START.after(Duration::from_secs(5)),
        retry_of: Some(world.submit(spec()).await.id),
        concurrency_key: Some("conversation 7, Grüße".parse().unwrap()),
        lane: Some("openai.gpt-5".parse().unwrap()),
        timeout_ms: u64::from(u32::MAX) * 1_000,
        ..spec()
    };
    for asked in [whole, Spec { labels: [].into(), ..spec() }] {
        let job = world.submit(asked.clone()).await;
        assert_eq!(*job.spec, asked);
        assert_eq!(job.life.state, if asked.run_at > START { State::Scheduled } else { State::Queued });
        assert_eq!(world.job(job.id).await, job);
        assert_eq!(world.store.input(job.id).await.unwrap(), Some(input(1)));
        assert_eq!(world.store.steps(job.id).await.unwrap(), []);
        let log = world.log(job.id).await;
        assert!(
            matches!(&log[..], [event] if event.body == EventBody::Accepted(job.spec.clone()) && event.at == START)
        );
    }
    assert_eq!(world.store.waiting(), 3);
}

/// A repeated request is recognised.
pub async fn the_same_request_under_the_same_key_gives_the_same_job(backend: &dyn Backend) {
    let world = World::new(backend).await;
    let Acceptance::New(first) = world.accept(keyed(spec(), 7, 1)).await else { panic!("not new") };
    assert_eq!(world.accept(keyed(spec(), 7, 1)).await, Acceptance::Existing(first.clone()));
    let running = world.start().await;
    assert_eq!(running.id, first.id);
    world.finish(&running, completed()).await.unwrap();
    let Acceptance::Existing(again) = world.accept(keyed(spec(), 7, 1)).await else { panic!("not recognised") };
    assert_eq!(again, world.job(first.id).await);
    assert_eq!(world.list(Default::default()).await, [first.id]);
}

/// A key stands for one request.
pub async fn another_request_under_the_same_key_is_told(backend: &dyn Backend) {
    let world = World::new(backend).await;
    let Acceptance::New(first) = world.accept(keyed(spec(), 7, 1)).await else { panic!("not new") };
    assert_eq!(world.accept(keyed(spec(), 7, 2)).await, Acceptance::KeyReused(first.id));
    assert_eq!(world.store.waiting(), 1);
}

/// Entries of a batch are looked at in order.
pub async fn two_of_one_batch_under_the_same_key_give_one_job(backend: &dyn Backend) {
    let world = World::new(backend).await;
    let batch = vec![keyed(spec(), 7, 1), new(spec()), keyed(spec(), 7, 1), keyed(spec(), 7, 9)];
    let answers = world.accept_all(batch).await;
    let [Acceptance::New(first), Acceptance::New(_), Acceptance::Existing(same), Acceptance::KeyReused(id)] =
        &answers[..]
    else {
        panic!("{answers:?}")
    };
    assert_eq!((first, *id), (same, first.id));
    assert_eq!(world.store.waiting(), 2);
}

/// The tenant is part of the key that callers give.
pub async fn keys_of_other_tenants_are_other_keys(backend: &dyn Backend) {
    let world = World::new(backend).await;
    let other = Spec { tenant: "other".parse().unwrap(), ..spec() };
    let answers = world.accept_all(vec![keyed(spec(), 7, 1), keyed(other, 8, 1)]).await;
    assert!(answers.iter().all(|answer| matches!(answer, Acceptance::New(_))), "{answers:?}");
}

/// A day, and not forever.
pub async fn a_key_is_forgotten_after_its_window_and_not_before(backend: &dyn Backend) {
    let mut world = World::new(backend).await;
    let long = Spec { retention_ms: u64::from(u32::MAX), ..spec() };
    let Acceptance::New(first) = world.accept(keyed(long.clone(), 7, 1)).await else { panic!("not new") };
    world.pass(IDEMPOTENCY_WINDOW - Duration::from_millis(1));
    world.sweep().await;
    assert!(matches!(world.accept(keyed(long.clone(), 7, 1)).await, Acceptance::Existing(job) if job.id == first.id));
    world.pass(Duration::from_millis(1));
    world.sweep().await;
    assert!(matches!(world.accept(keyed(long, 7, 2)).await, Acceptance::New(job) if job.id != first.id));
}

/// What is deleted can be asked for anew; forgetting an old job does not forget the key's new one.
pub async fn a_key_is_forgotten_with_its_job(backend: &dyn Backend) {
    let world = World::new(backend).await;
    world.accept_all(vec![keyed(Spec { priority: spec().priority, ..spec() }, 6, 1)]).await;
    let Acceptance::New(first) = world.accept(keyed(spec(), 7, 1)).await else { panic!("not new") };
    world.cancel(first.id, None).await;
    assert_eq!(world.store.delete(first.id, None).await.unwrap(), Some(Ok(())));
    let Acceptance::New(second) = world.accept(keyed(spec(), 7, 2)).await else { panic!("not new") };
    assert!(matches!(world.accept(keyed(spec(), 7, 2)).await, Acceptance::Existing(job) if job.id == second.id));
    assert!(matches!(world.accept(keyed(spec(), 6, 1)).await, Acceptance::Existing(_)));
}

/// The window counts from acceptance, whether or not the job has ended.
pub async fn a_key_outlives_the_end_of_its_job(backend: &dyn Backend) {
    let world = World::new(backend).await;
    let Acceptance::New(job) = world.accept(keyed(spec(), 7, 1)).await else { panic!("not new") };
    world.cancel(job.id, Some("no")).await;
    assert_eq!(world.accept(keyed(spec(), 7, 1)).await, Acceptance::Existing(world.job(job.id).await));
}

/// One tenant does not fill the server.
pub async fn a_tenant_may_have_so_many_jobs_waiting(backend: &dyn Backend) {
    let world = World::with(backend, Limits { waiting_per_tenant: 2, ..Limits::default() }).await;
    let later = Spec { run_at: Time::MAX, ..spec() };
    let answers = world.accept_all(vec![new(spec()), new(later), new(spec())]).await;
    assert_eq!(answers[2], Acceptance::QuotaReached { waiting: 2, limit: 2 });
    world.submit(Spec { tenant: "other".parse().unwrap(), ..spec() }).await;
    world.claim(1).await;
    world.submit(spec()).await;
}

/// All tenants together do not fill the server.
pub async fn the_server_may_have_so_many_jobs_waiting(backend: &dyn Backend) {
    let world = World::with(backend, Limits { waiting: 1, ..Limits::default() }).await;
    let other = Spec { tenant: "other".parse().unwrap(), ..spec() };
    let answers = world.accept_all(vec![keyed(spec(), 7, 1), new(other), keyed(spec(), 7, 1)]).await;
    assert_eq!(answers[1], Acceptance::QuotaReached { waiting: 1, limit: 1 });
    // A repeated request takes no room.
    assert!(matches!(answers[2], Acceptance::Existing(_)));
}

/// Keys take memory.
pub async fn so_many_keys_are_remembered(backend: &dyn Backend) {
    let world = World::with(backend, Limits { idempotency_keys: 1, ..Limits::default() }).await;
    let answers = world.accept_all(vec![keyed(spec(), 7, 1), keyed(spec(), 8, 1), new(spec())]).await;
    assert_eq!(answers[1], Acceptance::KeysExhausted);
    assert!(matches!(answers[2], Acceptance::New(_)));
}

/// Ids sort by acceptance.
pub async fn ids_grow_even_when_the_clock_steps_back(backend: &dyn Backend) {
    let mut world = World::new(backend).await;
    let first = world.submit(spec()).await;
    world.now = Time::from_millis(START.as_millis() - 5_000);
    let second = world.submit(spec()).await;
    assert!(second.id.key() > first.id.key());
    assert_eq!(world.list(Default::default()).await, [second.id, first.id]);
}
