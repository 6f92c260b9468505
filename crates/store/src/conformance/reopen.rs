//! What is there again after the store was closed and opened. Nothing to try for a store that is not durable.

use std::time::Duration;

use raincheck_core::{JobId, Note, Priority, Progress, Retry, Spec, StepRecord, Tenant};
use serde_json::json;

use super::Backend;
use super::world::{LEASE, START, World, completed, failed, keyed, new, spec};
use crate::{Acceptance, QueueStatus};

/// Jobs in every state, with their logs, inputs, steps; what is paused.
pub async fn everything_acknowledged_is_there_again(backend: &dyn Backend) {
    if !backend.is_durable() {
        return;
    }
    let world = World::new(backend).await;
    let paused = "paused".parse().unwrap();
    world.store.set_paused(&paused, true).await.unwrap();
    world.accept_all((0..5).map(|_| new(spec())).collect()).await;
    let jobs = world.claim(4).await;
    let step = Note::Step(StepRecord { name: "one".into(), result: json!(1).into() });
    world.append(&jobs[0].job, vec![step, Note::Progress(Progress::percent(40.0, "on it"))]).await.unwrap();
    world.finish(&jobs[1].job, completed()).await.unwrap();
    world.finish(&jobs[2].job, failed(Retry::Backoff)).await.unwrap();
    world.cancel(jobs[3].job.id, Some("no")).await;
    world.submit(Spec { run_at: START.after(Duration::from_secs(99)), ..spec() }).await;
    let ids = world.list(Default::default()).await;
    let before = remember(&world, &ids).await;
    let world = world.reopened(backend).await;
    assert_eq!(world.list(Default::default()).await, ids);
    assert_eq!(remember(&world, &ids).await, before);
    assert!(world.store.queues().contains(&QueueStatus { queue: paused, ready: 0, paused: true }));
    assert_eq!(world.store.waiting(), 3);
}

async fn remember(world: &World, ids: &[JobId]) -> Vec<String> {
    let mut all = Vec::new();
    for id in ids {
        let (input, steps) = (world.store.input(*id).await.unwrap(), world.store.steps(*id).await.unwrap());
        all.push(format!("{:?} {:?} {input:?} {steps:?}", world.job(*id).await, world.log(*id).await));
    }
    all
}

/// Priority, tenant, time.
pub async fn what_waited_waits_again_in_its_order(backend: &dyn Backend) {
    if !backend.is_durable() {
        return;
    }
    let world = World::new(backend).await;
    let of = |priority, tenant: &str| Spec {
        priority: Priority::new(priority).unwrap(),
        tenant: tenant.parse::<Tenant>().unwrap(),
        ..spec()
    };
    let mut expected = Vec::new();
    for (priority, tenant) in [(9, "a"), (5, "a"), (5, "a"), (5, "b"), (0, "a")] {
        expected.push(world.submit(of(priority, tenant)).await.id);
    }
    let due = START.after(Duration::from_secs(5));
    let scheduled = world.submit(Spec { run_at: due, ..of(0, "a") }).await.id;
    let mut world = world.reopened(backend).await;
    let claimed: Vec<JobId> = world.claim(9).await.iter().map(|claimed| claimed.job.id).collect();
    assert_eq!(claimed.len(), 5);
    assert_eq!((claimed[0], claimed[4]), (expected[4], expected[0]));
    assert!(claimed.iter().position(|id| *id == expected[1]) < claimed.iter().position(|id| *id == expected[2]));
    world.now = due;
    assert_eq!(world.start().await.id, scheduled);
}

/// A restart is no lost lease.
pub async fn what_ran_runs_on_under_the_same_lease(backend: &dyn Backend) {
    if !backend.is_durable() {
        return;
    }
    let world = World::new(backend).await;
    world.accept_all((0..2).map(|_| new(spec())).collect()).await;
    let jobs = world.claim(2).await;
    let progress = |percent| vec![Note::Progress(Progress::percent(percent, ""))];
    world.append(&jobs[0].job, progress(60.0)).await.unwrap();
    let mut world = world.reopened(backend).await;
    assert!(world.claim(9).await.is_empty());
    world.append(&jobs[0].job, progress(20.0)).await.unwrap();
    assert_eq!(world.job(jobs[0].job.id).await.life.progress, Some(Progress::percent(60.0, "")));
    world.finish(&jobs[0].job, completed()).await.unwrap();
    world.pass(LEASE);
    assert_eq!(world.sweep().await.lapsed, 1);
    assert_eq!(world.start().await.id, jobs[1].job.id);
}

/// Also those that were deleted, which stand for nothing.
pub async fn keys_stand_for_the_same_jobs_again(backend: &dyn Backend) {
    if !backend.is_durable() {
        return;
    }
    let world = World::new(backend).await;
    let keys = || (0..250).map(|key| keyed(spec(), key, 1)).collect::<Vec<_>>();
    let first: Vec<JobId> = world.accept_all(keys()).await.into_iter().map(id_of).collect();
    let gone = first[120];
    world.cancel(gone, None).await;
    world.store.delete(gone, None).await.unwrap().unwrap().unwrap();
    let world = world.reopened(backend).await;
    for (answer, id) in world.accept_all(keys()).await.into_iter().zip(first) {
        match answer {
            Acceptance::New(job) => assert!(id == gone && job.id != gone),
            other => assert_eq!(id_of(other), id),
        }
    }
}

fn id_of(acceptance: Acceptance) -> JobId {
    match acceptance {
        Acceptance::New(job) | Acceptance::Existing(job) => job.id,
        other => panic!("{other:?}"),
    }
}

/// Even if the clock stood at an earlier time meanwhile.
pub async fn ids_go_on_growing(backend: &dyn Backend) {
    if !backend.is_durable() {
        return;
    }
    let mut world = World::new(backend).await;
    world.pass(Duration::from_secs(1));
    let first = world.submit(spec()).await.id;
    let mut world = world.reopened(backend).await;
    world.now = START;
    assert!(world.submit(spec()).await.id.key() > first.key());
}
