//! What is told to webhooks, and when again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use raincheck_core::{Job, JobId, Retry, Spec, Tenant, Time, Webhook, WebhookEvent};

use super::Backend;
use super::world::{START, World, completed, failed, new, spec, worker};
use crate::{DELIVERIES_LOOKED_AT, Delivery, DeliveryRequest, DeliveryState, Due, Then, Tried, UNHEARD, UNHEARD_MAX};

/// How long a delivery that was taken is not given again.
const UNTIL: Duration = Duration::from_secs(60);

fn told_at(url: &str) -> Spec {
    Spec { webhook: Some(Webhook::new(url.to_owned())), ..spec() }
}

fn request(world: &World) -> DeliveryRequest {
    let (room, after, until) = (BTreeMap::new(), String::new(), world.now.after(UNTIL));
    DeliveryRequest { worker: worker("w1"), max: 100, per_endpoint: 100, room, after, until }
}

async fn take(world: &World) -> Vec<Due> {
    world.store.claim_deliveries(request(world), world.now).await.unwrap().due
}

async fn note(world: &World, due: &Due, then: Then) {
    let tried = Tried { job: due.job, claim: due.claim, answer: "it said so".into(), then };
    world.store.note_deliveries(vec![tried], world.now).await.unwrap();
}

async fn delivery(world: &World, job: JobId) -> Option<Delivery> {
    world.store.delivery(job, None).await.unwrap()
}

async fn ended(world: &World, url: &str) -> Job {
    let job = world.submit(told_at(url)).await;
    let running = world.start().await;
    world.finish(&running, completed()).await.unwrap();
    job
}

/// With the end and not before; and the observer hears that there is something to tell.
pub async fn the_end_of_a_job_is_due_with_it(backend: &dyn Backend) {
    let world = World::new(backend).await;
    let job = world.submit(told_at("https://Hooks.example:8443/a?b")).await;
    assert_eq!(world.job(job.id).await.spec, job.spec);
    let running = world.start().await;
    assert_eq!((take(&world).await, delivery(&world, job.id).await), (vec![], None));
    world.finish(&running, failed(Retry::Never)).await.unwrap();
    let heard: Vec<bool> = world.heard().iter().map(|change| change.is_told).collect();
    assert_eq!(heard, [false, false, true]);
    let pending = |tries, at| Some(Delivery { tries, state: DeliveryState::Pending(at), last: None });
    assert_eq!(delivery(&world, job.id).await, pending(0, world.now));
    let due = Due { job: job.id, endpoint: "default hooks.example".into(), claim: 1, tries: 0 };
    assert_eq!(take(&world).await, [due]);
    assert_eq!(delivery(&world, job.id).await, pending(0, world.now.after(UNTIL)));
    assert_eq!(take(&world).await, []);
}

/// Cancelled, expired, quarantined: an end is an end. A job without a webhook tells nobody, nor does one whose webhook wants
/// to hear other things.
pub async fn every_end_is_told_and_only_to_those_who_want_it(backend: &dyn Backend) {
    let mut world = World::new(backend).await;
    let deadline = Some(START.after(Duration::from_secs(1)));
    let expiring = world.submit(Spec { deadline, ..told_at("https://a.example/") }).await.id;
    let cancelled = world.submit(told_at("https://a.example/")).await.id;
    let silent = world.submit(spec()).await.id;
    let mut other = told_at("https://a.example/");
    other.webhook.as_mut().unwrap().events = [WebhookEvent::Started].into();
    let other = world.submit(other).await.id;
    for job in [cancelled, silent, other] {
        world.cancel(job, None).await;
    }
    world.pass(Duration::from_secs(1));
    world.sweep().await;
    let told: BTreeSet<JobId> = take(&world).await.into_iter().map(|due| due.job).collect();
    assert_eq!(told, [expiring, cancelled].into());
    assert_eq!((delivery(&world, silent).await, delivery(&world, other).await), (None, None));
}

/// Until it is taken, or given up; and then not again.
pub async fn a_delivery_is_tried_until_it_is_settled(backend: &dyn Backend) {
    let mut world = World::new(backend).await;
    let job = ended(&world, "https://a.example/").await.id;
    let due = take(&world).await.remove(0);
    let again_at = world.now.after(Duration::from_secs(5));
    note(&world, &due, Then::Again(again_at)).await;
    let last = Some((world.now, "it said so".to_owned()));
    let pending = Delivery { tries: 1, state: DeliveryState::Pending(again_at), last: last.clone() };
    assert_eq!(delivery(&world, job).await, Some(pending));
    let none_yet = world.store.claim_deliveries(request(&world), world.now).await.unwrap();
    assert_eq!((none_yet.due, none_yet.next_due), (vec![], Some(again_at)));
    world.pass(Duration::from_secs(5));
    let second = take(&world).await.remove(0);
    assert_eq!((second.claim, second.tries), (2, 1));
    // What is heard of the first try comes too late.
    note(&world, &due, Then::GivenUp).await;
    // And that the endpoint could not be told anything does not count.
    note(&world, &second, Then::Later(world.now)).await;
    let third = take(&world).await.remove(0);
    assert_eq!((third.claim, third.tries), (3, 1));
    note(&world, &third, Then::Delivered).await;
    note(&world, &third, Then::Again(world.now)).await;
    let settled = Delivery { tries: 2, state: DeliveryState::Delivered, last: Some((world.now, "it said so".into())) };
    assert_eq!(delivery(&world, job).await, Some(settled));
    world.pass(UNTIL);
    assert_eq!(take(&world).await, []);
}

/// Whoever took it may have died.
pub async fn what_is_not_heard_of_is_due_again(backend: &dyn Backend) {
    let mut world = World::new(backend).await;
    ended(&world, "https://a.example/").await;
    let first = take(&world).await.remove(0);
    world.pass(UNTIL);
    let again = take(&world).await.remove(0);
    assert_eq!((first.claim, again.claim, again.tries), (1, 2, 0), "and it costs the endpoint no try");
    // The first was only late, and had been taken by the endpoint.
    note(&world, &first, Then::Delivered).await;
    assert_eq!(delivery(&world, first.job).await.unwrap().state, DeliveryState::Delivered);
}

/// It is likely what kills whoever takes it.
pub async fn what_is_never_heard_of_is_given_up(backend: &dyn Backend) {
    let mut world = World::new(backend).await;
    let job = ended(&world, "https://a.example/").await.id;
    for claim in 1..=UNHEARD_MAX {
        assert_eq!(take(&world).await[0].claim, u64::from(claim));
        world.pass(UNTIL);
    }
    assert_eq!(take(&world).await, []);
    let given_up = delivery(&world, job).await.unwrap();
    assert_eq!((given_up.state, given_up.last.unwrap().1.as_str()), (DeliveryState::GivenUp, UNHEARD));
}

/// As its leases lapse.
pub async fn what_a_dead_worker_had_taken_is_due_at_once(backend: &dyn Backend) {
    let world = World::new(backend).await;
    for _ in 0..2 {
        ended(&world, "https://a.example/").await;
    }
    let taken = take(&world).await;
    note(&world, &taken[0], Then::Delivered).await;
    world.store.worker_died(&worker("w2"), world.now).await.unwrap();
    assert_eq!(take(&world).await, []);
    world.store.worker_died(&worker("w1"), world.now).await.unwrap();
    let again = take(&world).await;
    assert_eq!((again.len(), again[0].job, again[0].claim), (1, taken[1].job, 2));
}

/// By whoever may see the job.
pub async fn a_settled_delivery_can_be_had_again(backend: &dyn Backend) {
    let world = World::new(backend).await;
    let job = ended(&world, "https://a.example/").await.id;
    let due = take(&world).await.remove(0);
    note(&world, &due, Then::GivenUp).await;
    let (stranger, owner): (Tenant, Tenant) = ("other".parse().unwrap(), spec().tenant);
    assert!(!world.store.deliver_again(job, Some(&stranger), world.now).await.unwrap());
    assert_eq!(world.store.delivery(job, Some(&stranger)).await.unwrap(), None);
    assert!(world.store.deliver_again(job, Some(&owner), world.now).await.unwrap());
    assert_eq!(take(&world).await, [Due { claim: 2, ..due }]);
    let silent = world.submit(spec()).await.id;
    assert!(!world.store.deliver_again(silent, None, world.now).await.unwrap());
}

/// One that is slow holds up no other, and one with much to hear does not keep the others from hearing.
pub async fn endpoints_take_turns(backend: &dyn Backend) {
    let world = World::new(backend).await;
    world.accept_all((0..DELIVERIES_LOOKED_AT).map(|_| new(told_at("https://a.example/"))).collect()).await;
    world.accept_all(["b", "c"].map(|name| new(told_at(&format!("https://{name}.example/")))).into()).await;
    for claimed in world.claim(1_000).await {
        world.finish(&claimed.job, completed()).await.unwrap();
    }
    let claim = async |request: DeliveryRequest| world.store.claim_deliveries(request, world.now).await.unwrap();
    let endpoints = |due: &[Due]| due.iter().map(|due| due.endpoint.clone()).collect::<Vec<_>>();
    let first = claim(DeliveryRequest { max: 2, per_endpoint: 1, ..request(&world) }).await;
    assert_eq!(endpoints(&first.due), ["default a.example", "default b.example"]);
    assert_eq!((first.next_due, &*first.after), (Some(world.now), "default b.example"), "there is more");
    let full = [("default a.example".to_owned(), 0)];
    let other = claim(DeliveryRequest { room: full.into(), after: first.after, ..request(&world) }).await;
    assert_eq!(endpoints(&other.due), ["default c.example"]);
    let rest = claim(request(&world)).await;
    assert_eq!(rest.due.len(), 100);
}

/// Nothing of it is left.
pub async fn a_delivery_is_forgotten_with_its_job(backend: &dyn Backend) {
    let world = World::new(backend).await;
    let job = ended(&world, "https://a.example/").await.id;
    world.store.delete(job, None).await.unwrap().unwrap().unwrap();
    assert_eq!((take(&world).await, delivery(&world, job).await), (vec![], None));
}

/// Across restarts, and a change of it leaves time to follow.
pub async fn a_tenant_keeps_its_secret_until_it_is_changed(backend: &dyn Backend) {
    let world = World::new(backend).await;
    let (one, other): (Tenant, Tenant) = ("one".parse().unwrap(), "other".parse().unwrap());
    assert_eq!(world.store.webhook_secrets(&one, [1; 32]).await.unwrap().current, [1; 32]);
    assert_eq!(world.store.webhook_secrets(&other, [2; 32]).await.unwrap().current, [2; 32]);
    let until: Time = world.now.after(Duration::from_secs(9));
    let rotated = world.store.rotate_webhook_secret(&one, [3; 32], until).await.unwrap();
    assert_eq!((rotated.current, rotated.previous), ([3; 32], Some(([1; 32], until))));
    assert_eq!(rotated.at(world.now).collect::<Vec<_>>(), [&[3; 32], &[1; 32]]);
    assert_eq!(rotated.at(until).collect::<Vec<_>>(), [&[3; 32]]);
    if backend.is_durable() {
        let world = world.reopened(backend).await;
        assert_eq!(world.store.webhook_secrets(&one, [9; 32]).await.unwrap(), rotated);
    }
}

/// What was to be told still is.
pub async fn what_was_due_is_due_after_a_restart(backend: &dyn Backend) {
    if !backend.is_durable() {
        return;
    }
    let world = World::new(backend).await;
    let job = ended(&world, "https://a.example/").await.id;
    let world = world.reopened(backend).await;
    assert_eq!(take(&world).await, [Due { job, endpoint: "default a.example".into(), claim: 1, tries: 0 }]);
}
