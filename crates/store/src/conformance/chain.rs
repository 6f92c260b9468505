//! Jobs with a concurrency key: one at a time, in the order in which they were accepted.

use std::time::Duration;

use raincheck_core::{Job, JobId, Place, Priority, Retry, Spec, State, Tenant};

use super::Backend;
use super::world::{LEASE, START, World, completed, failed, spec};

fn keyed(key: &str) -> Spec {
    Spec { concurrency_key: Some(key.parse().unwrap()), ..spec() }
}

async fn chain<const N: usize>(world: &World) -> [JobId; N] {
    let mut ids = Vec::new();
    for _ in 0..N {
        ids.push(world.submit(keyed("k")).await.id);
    }
    ids.try_into().unwrap()
}

async fn start_all(world: &World) -> Vec<Job> {
    world.claim(9).await.into_iter().map(|claimed| claimed.job).collect()
}

fn ids(jobs: &[Job]) -> Vec<JobId> {
    jobs.iter().map(|job| job.id).collect()
}

/// Whatever their queues and priorities; others pass.
pub async fn those_of_a_key_run_one_after_the_other(backend: &dyn Backend) {
    let world = World::new(backend).await;
    let first = world.submit(keyed("k")).await;
    assert_eq!(world.job(first.id).await.spec.concurrency_key, keyed("k").concurrency_key);
    let urgent = Spec { priority: Priority::new(0).unwrap(), queue: "fast".parse().unwrap(), ..keyed("k") };
    let second = world.submit(urgent).await;
    let third = world.submit(keyed("k")).await;
    let [other, free] = [world.submit(keyed("l")).await, world.submit(spec()).await];
    let theirs = world.submit(Spec { tenant: Tenant::default(), ..keyed("k") }).await;
    let mine = world.submit(Spec { tenant: "other".parse().unwrap(), ..keyed("k") }).await;
    let started = start_all(&world).await;
    let mut all = ids(&started);
    all.sort_unstable();
    assert_eq!(all, [first.id, other.id, free.id, mine.id]);
    assert_eq!(world.store.waiting(), 3);
    let mut running = started.into_iter().find(|job| job.id == first.id).unwrap();
    for next in [second.id, third.id, theirs.id] {
        assert!(world.claim(9).await.is_empty());
        world.finish(&running, completed()).await.unwrap();
        running = world.start().await;
        assert_eq!(running.id, next);
    }
}

/// Between attempts, too.
pub async fn a_key_is_held_until_the_job_has_ended(backend: &dyn Backend) {
    let mut world = World::new(backend).await;
    let [first, second] = chain(&world).await;
    let endings = [failed(Retry::Backoff), failed(Retry::Postpone(500)), raincheck_core::Ending::Released];
    for ending in endings {
        let running = world.start().await;
        assert_eq!(running.id, first);
        world.finish(&running, ending).await.unwrap();
        if world.job(first).await.life.run_at > world.now {
            assert!(world.claim(9).await.is_empty());
        }
        world.now = world.job(first).await.life.run_at.max(world.now);
    }
    assert_eq!(world.start().await.id, first);
    world.pass(LEASE);
    world.sweep().await;
    let running = world.start().await;
    assert_eq!(running.id, first);
    world.finish(&running, failed(Retry::Never)).await.unwrap();
    assert_eq!(world.start().await.id, second);
}

/// A job that ends before its turn is passed over, and the one whose turn it is makes way.
pub async fn what_ends_out_of_turn_breaks_no_chain(backend: &dyn Backend) {
    let mut world = World::new(backend).await;
    let soon = START.after(Duration::from_secs(1));
    let [first, second] = chain(&world).await;
    let late = world.submit(Spec { deadline: Some(soon), ..keyed("k") }).await.id;
    let [fourth, fifth] = chain(&world).await;
    world.cancel(second, None).await;
    world.store.delete(second, None).await.unwrap().unwrap().unwrap();
    let running = world.start().await;
    assert_eq!(running.id, first);
    world.now = soon;
    assert_eq!(world.sweep().await.expired, 1);
    assert_eq!(world.state(late).await, State::Expired);
    assert!(world.claim(9).await.is_empty());
    world.finish(&running, completed()).await.unwrap();
    // Waiting in its turn, and cancelled.
    world.cancel(fourth, None).await;
    assert_eq!(world.start().await.id, fifth);
}

/// A job that is to run later holds its key from when it was accepted; the time of one behind it counts from its own turn.
pub async fn a_time_and_a_turn_are_both_waited_for(backend: &dyn Backend) {
    let mut world = World::new(backend).await;
    let due = START.after(Duration::from_secs(5));
    let first = world.submit(Spec { run_at: due, ..keyed("k") }).await.id;
    let second = world.submit(Spec { run_at: due.after(LEASE), ..keyed("k") }).await.id;
    assert!(world.claim(9).await.is_empty());
    world.now = due;
    let running = world.start().await;
    assert_eq!(running.id, first);
    world.finish(&running, completed()).await.unwrap();
    assert!(world.claim(9).await.is_empty());
    world.pass(LEASE);
    assert_eq!(world.start().await.id, second);
}

/// A job that waits for its turn counts as waiting, and its place says for how many.
pub async fn the_place_of_a_chained_job_counts_its_chain(backend: &dyn Backend) {
    let world = World::new(backend).await;
    world.submit(spec()).await;
    let [first, second, third] = chain(&world).await;
    let place = async |id| world.store.place(&world.job(id).await);
    assert_eq!(place(first).await, Some(Place { ahead: 1, waiting: 2, behind: 0 }));
    assert_eq!(place(third).await, Some(Place { ahead: 3, waiting: 4, behind: 2 }));
    assert_eq!(start_all(&world).await.len(), 2);
    assert_eq!(place(first).await, None);
    assert_eq!(place(second).await, Some(Place { ahead: 1, waiting: 2, behind: 1 }));
    assert_eq!(world.store.waiting(), 2);
    assert_eq!(world.state(second).await, State::Queued);
}

/// So that somebody looks for the next.
pub async fn the_end_of_a_turn_is_told(backend: &dyn Backend) {
    let world = World::new(backend).await;
    let [first] = chain(&world).await;
    world.submit(spec()).await;
    for job in start_all(&world).await {
        world.finish(&job, completed()).await.unwrap();
    }
    let over: Vec<_> = world.heard().into_iter().filter(|change| change.is_turn_over).collect();
    assert_eq!(over.iter().map(|change| change.job).collect::<Vec<_>>(), [first]);
    assert!(over[0].event.body.event_type().is_final());
}

/// What was under way, and whose turn comes after it.
pub async fn chains_are_there_again_after_a_restart(backend: &dyn Backend) {
    if !backend.is_durable() {
        return;
    }
    let world = World::new(backend).await;
    let [first, second, third] = chain(&world).await;
    let running = world.start().await;
    let world = world.reopened(backend).await;
    assert!(world.claim(9).await.is_empty());
    world.cancel(second, None).await;
    world.finish(&running, failed(Retry::Backoff)).await.unwrap();
    let mut world = world.reopened(backend).await;
    assert!(world.claim(9).await.is_empty());
    world.now = world.job(first).await.life.run_at;
    let running = world.start().await;
    assert_eq!(running.id, first);
    world.finish(&running, completed()).await.unwrap();
    assert_eq!(world.start().await.id, third);
}
