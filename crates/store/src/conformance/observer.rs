//! What the observer is told.

use std::collections::BTreeMap;

use raincheck_core::{Event, JobId, Note};
use serde_json::json;

use super::Backend;
use super::world::{LEASE, World, completed, keyed, new, spec};

/// What it hears is what the logs hold.
pub async fn each_event_is_told_once_in_order(backend: &dyn Backend) {
    let mut world = World::new(backend).await;
    world.accept_all((0..4).map(|_| new(spec())).collect()).await;
    let jobs = world.claim(3).await;
    world.append(&jobs[0].job, vec![Note::Output(json!(1).into()), Note::Output(json!(2).into())]).await.unwrap();
    world.finish(&jobs[0].job, completed()).await.unwrap();
    world.cancel(jobs[1].job.id, None).await;
    world.pass(LEASE);
    world.sweep().await;
    let mut told = BTreeMap::<JobId, Vec<Event>>::new();
    for change in world.heard() {
        told.entry(change.job).or_default().push(change.event);
    }
    assert_eq!(told.len(), 4);
    for (job, events) in told {
        assert_eq!(events, world.log(job).await);
    }
}

/// Nothing happened, so there is nothing to tell.
pub async fn a_refused_change_is_not_told(backend: &dyn Backend) {
    let mut world = World::new(backend).await;
    world.accept(keyed(spec(), 7, 1)).await;
    let stale = world.start().await;
    world.pass(LEASE);
    world.sweep().await;
    let before = world.heard();
    world.accept(keyed(spec(), 7, 1)).await;
    world.accept(keyed(spec(), 7, 2)).await;
    world.finish(&stale, completed()).await.unwrap_err();
    world.append(&stale, vec![Note::Output(json!(1).into())]).await.unwrap_err();
    assert_eq!(world.heard(), before);
}
