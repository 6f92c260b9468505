//! What is forgotten, and what expires.

use std::time::Duration;

use raincheck_core::{EventType, Note, Progress, Spec, State};
use serde_json::json;

use super::Backend;
use super::world::{LEASE, START, World, completed, keyed, spec};
use crate::{Acceptance, Swept};

/// Not before, and with all that belongs to it.
pub async fn an_ended_job_is_forgotten_when_its_retention_ends(backend: &dyn Backend) {
    let mut world = World::new(backend).await;
    let brief = Spec { retention_ms: 1_000, ..spec() };
    let (long, brief) = (world.submit(spec()).await.id, world.submit(brief).await.id);
    world.cancel(brief, None).await;
    world.cancel(long, None).await;
    world.pass(Duration::from_millis(999));
    assert_eq!(world.sweep().await, Swept::default());
    world.pass(Duration::from_millis(1));
    assert_eq!(world.sweep().await, Swept { forgotten: 1, ..Swept::default() });
    assert_eq!(world.store.get(brief, None).await.unwrap(), None);
    assert!(world.store.read_log(brief, None, 0, 9).await.unwrap().is_none());
    assert_eq!(world.list(Default::default()).await, [long]);
}

/// Bounded work, and a word when more is due.
pub async fn a_sweep_does_no_more_than_it_may(backend: &dyn Backend) {
    let mut world = World::new(backend).await;
    for _ in 0..5 {
        let job = world.submit(spec()).await.id;
        world.cancel(job, None).await;
    }
    world.pass(Duration::from_secs(3_600));
    let mut forgotten = Vec::new();
    loop {
        let swept = world.store.sweep(2, world.now).await.unwrap();
        forgotten.push(swept.forgotten);
        if !swept.more {
            break;
        }
    }
    assert_eq!(forgotten, [2, 2, 1]);
}

/// A waiting job that nobody wants any more ends.
pub async fn a_deadline_ends_a_waiting_job(backend: &dyn Backend) {
    let mut world = World::new(backend).await;
    let deadline = Some(START.after(Duration::from_secs(10)));
    let queued = world.submit(Spec { deadline, ..spec() }).await.id;
    let scheduled = world.submit(Spec { deadline, run_at: START.after(Duration::from_secs(99)), ..spec() }).await.id;
    world.pass(Duration::from_secs(9));
    assert_eq!(world.sweep().await.expired, 0);
    world.pass(Duration::from_secs(1));
    assert_eq!(world.sweep().await.expired, 2);
    for job in [queued, scheduled] {
        assert_eq!(world.state(job).await, State::Expired);
        assert_eq!(world.story(job).await, [EventType::Accepted, EventType::Expired]);
    }
    assert_eq!((world.store.waiting(), world.claim(9).await.len()), (0, 0));
}

/// Its worker ends it; if that is gone, the lease does.
pub async fn a_deadline_is_not_swept_while_the_job_runs(backend: &dyn Backend) {
    let mut world = World::new(backend).await;
    let job = world.submit(Spec { deadline: Some(START.after(Duration::from_secs(1))), ..spec() }).await.id;
    world.start().await;
    world.pass(Duration::from_secs(1));
    assert_eq!(world.sweep().await, Swept::default());
    world.pass(LEASE);
    assert_eq!(world.sweep().await.lapsed, 1);
    assert_eq!(world.state(job).await, State::Expired);
}

/// Nothing of it is left.
pub async fn a_deleted_job_is_gone_with_all_that_belongs_to_it(backend: &dyn Backend) {
    let world = World::new(backend).await;
    let Acceptance::New(_) = world.accept(keyed(spec(), 7, 1)).await else { panic!("not new") };
    let running = world.start().await;
    let notes = vec![Note::Progress(Progress::percent(1.0, "")), Note::Output(json!(1).into())];
    world.finish_with(&running, notes, completed()).await.unwrap();
    assert_eq!(world.store.delete(running.id, Some(&spec().tenant)).await.unwrap(), Some(Ok(())));
    assert_eq!(world.store.delete(running.id, None).await.unwrap(), None);
    assert_eq!(world.store.get(running.id, None).await.unwrap(), None);
    assert_eq!(world.store.input(running.id).await.unwrap(), None);
    assert!(world.store.read_log(running.id, None, 0, 9).await.unwrap().is_none());
    assert_eq!(world.list(Default::default()).await, []);
    assert!(matches!(world.accept(keyed(spec(), 7, 1)).await, Acceptance::New(_)));
}

/// Whatever it is at.
pub async fn a_job_that_has_not_ended_cannot_be_deleted(backend: &dyn Backend) {
    let world = World::new(backend).await;
    let job = world.submit(spec()).await.id;
    assert_eq!(world.store.delete(job, None).await.unwrap(), Some(Err(State::Queued)));
    world.start().await;
    assert_eq!(world.store.delete(job, None).await.unwrap(), Some(Err(State::Running)));
    assert_eq!(world.state(job).await, State::Running);
}
