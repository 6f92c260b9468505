//! Who is given which job, and when.

use std::time::Duration;

use raincheck_core::{LOWER_PRIORITY_SHARE, Lane, Openings, Place, Priority, Spec, State, Tenant, Time, Want};

use super::Backend;
use super::world::{LEASE, START, World, input, new, spec, worker};
use crate::{ClaimRequest, QueueStatus};

/// Strict priorities, but for the stated share of the lower ones.
pub async fn urgent_jobs_come_first_and_a_lower_priority_gets_its_share(backend: &dyn Backend) {
    let world = World::new(backend).await;
    let share = usize::try_from(LOWER_PRIORITY_SHARE).unwrap();
    for number in [9, 0] {
        let of = Spec { priority: Priority::new(number).unwrap(), ..spec() };
        world.accept_all((0..2 * share).map(|_| new(of.clone())).collect()).await;
    }
    let claimed = world.claim(2 * share).await;
    let low = claimed.iter().filter(|claimed| claimed.job.spec.priority.number() == 9).count();
    assert_eq!((claimed.len(), low), (2 * share, 2));
    assert_eq!(claimed[0].job.spec.priority.number(), 0);
}

/// In whichever queue it waits, and whichever upstream it needs: a new urgent job is next, or the one after.
pub async fn urgency_counts_across_queues_and_lanes(backend: &dyn Backend) {
    let world = World::new(backend).await;
    let of = |number: u8, queue: &str, lane: Option<&str>| Spec {
        priority: Priority::new(number).unwrap(),
        queue: queue.parse().unwrap(),
        lane: lane.map(|lane| lane.parse().unwrap()),
        ..spec()
    };
    world.accept_all((0..40).map(|_| new(of(2, "personas", Some("up.mini")))).collect()).await;
    world.accept_all((0..40).map(|_| new(of(1, "landing", None))).collect()).await;
    let mut order = Vec::new();
    for turn in 0..40 {
        if turn % 5 == 0 {
            world.submit(of(0, "assistant", None)).await;
        }
        order.push(world.claim(1).await[0].job.spec.priority.number());
    }
    assert!(order.chunks(5).all(|turns| turns[..2].contains(&0)), "an urgent job waited: {order:?}");
    let lowest = 2 * usize::try_from(LOWER_PRIORITY_SHARE).unwrap();
    assert!(order[..lowest].contains(&2), "two are more urgent, and the lowest got nothing: {order:?}");
}

/// A quiet tenant does not wait behind a loud one.
pub async fn tenants_take_turns(backend: &dyn Backend) {
    let world = World::new(backend).await;
    let of = |name: &str| Spec { tenant: name.parse().unwrap(), ..spec() };
    world.accept_all((0..20).map(|_| new(of("loud"))).collect()).await;
    world.accept_all((0..2).map(|_| new(of("quiet"))).collect()).await;
    let tenants: Vec<Tenant> = world.claim(4).await.iter().map(|claimed| claimed.job.spec.tenant.clone()).collect();
    assert_eq!(tenants.iter().filter(|tenant| tenant.as_str() == "quiet").count(), 2, "{tenants:?}");
}

/// A worker is not given what it cannot run.
pub async fn only_wanted_kinds_are_given_and_no_more_than_wanted(backend: &dyn Backend) {
    let world = World::new(backend).await;
    let of = |kind: &str| Spec { kind: kind.parse().unwrap(), ..spec() };
    for kind in ["a", "a", "a", "b", "c"] {
        world.submit(of(kind)).await;
    }
    let wants = [("a", 2), ("b", 5), ("d", 1)]
        .map(|(kind, max)| Want { kind: kind.parse().unwrap(), max, openings: Openings::default() })
        .to_vec();
    let request = ClaimRequest { worker: worker("w1"), wants, max: usize::MAX, lease: LEASE };
    let claims = world.store.claim(request, world.now).await.unwrap();
    let kinds: Vec<&str> = claims.jobs.iter().map(|claimed| claimed.job.spec.kind.as_str()).collect();
    assert_eq!(kinds, ["a", "a", "b"]);
    assert_eq!(world.store.waiting(), 2);
}

/// However many it wants of each kind.
pub async fn no_more_are_given_than_wanted_in_all(backend: &dyn Backend) {
    let world = World::new(backend).await;
    for kind in ["a", "a", "b", "b"] {
        world.submit(Spec { kind: kind.parse().unwrap(), ..spec() }).await;
    }
    let wants =
        ["b", "a"].map(|kind| Want { kind: kind.parse().unwrap(), max: 9, openings: Openings::default() }).to_vec();
    let request = ClaimRequest { worker: worker("w1"), wants, max: 3, lease: LEASE };
    let claims = world.store.claim(request, world.now).await.unwrap();
    let kinds: Vec<&str> = claims.jobs.iter().map(|claimed| claimed.job.spec.kind.as_str()).collect();
    assert_eq!(kinds, ["b", "b", "a"]);
}

/// A job whose upstream would not take it now is not leased, and holds up nobody behind it.
pub async fn a_closed_lane_is_not_given_and_holds_up_no_other(backend: &dyn Backend) {
    let world = World::new(backend).await;
    let of = |lane: Option<&str>| Spec { lane: lane.map(|lane| lane.parse().unwrap()), ..spec() };
    for lane in [Some("shut"), Some("narrow"), Some("narrow"), Some("new"), Some("new"), None] {
        world.submit(of(lane)).await;
    }
    let known = [("shut".parse().unwrap(), 0), ("narrow".parse().unwrap(), 1)].into();
    let wants = vec![Want { kind: spec().kind, max: 9, openings: Openings { known, other: 1 } }];
    let request = ClaimRequest { worker: worker("w1"), wants, max: usize::MAX, lease: LEASE };
    let claims = world.store.claim(request, world.now).await.unwrap();
    let mut lanes: Vec<_> =
        claims.jobs.iter().map(|claimed| claimed.job.spec.lane.as_ref().map(Lane::as_str)).collect();
    lanes.sort_unstable();
    assert_eq!(lanes, [None, Some("narrow"), Some("new")]);
    assert_eq!(world.store.waiting(), 3);
}

/// Pausing holds what waits, and lets what runs end.
pub async fn a_paused_queue_gives_nothing_until_it_is_resumed(backend: &dyn Backend) {
    let world = World::new(backend).await;
    let queue = spec().queue;
    world.submit(spec()).await;
    world.store.set_paused(&queue, true).await.unwrap();
    world.store.set_paused(&queue, true).await.unwrap();
    assert!(world.claim(1).await.is_empty());
    assert_eq!(world.store.queues(), [QueueStatus { queue: queue.clone(), ready: 1, paused: true }]);
    world.store.set_paused(&queue, false).await.unwrap();
    assert_eq!(world.claim(1).await.len(), 1);
    assert_eq!(world.store.queues(), []);
}

/// `run_at` is kept, and the caller is told when to come again.
pub async fn a_job_is_not_given_before_its_time(backend: &dyn Backend) {
    let mut world = World::new(backend).await;
    let due = START.after(Duration::from_secs(5));
    let job = world.submit(Spec { run_at: due, ..spec() }).await;
    assert_eq!(world.state(job.id).await, State::Scheduled);
    let request = ClaimRequest { worker: worker("w1"), wants: Vec::new(), max: usize::MAX, lease: LEASE };
    assert_eq!(world.store.claim(request, world.now).await.unwrap().next_due, Some(due));
    world.now = Time::from_millis(due.as_millis() - 1);
    assert!(world.claim(1).await.is_empty());
    world.now = due;
    assert_eq!(world.claim(1).await.len(), 1);
}

/// Nothing that must be safe depends on the clock.
pub async fn a_clock_that_steps_back_delays_a_job_but_loses_none(backend: &dyn Backend) {
    let mut world = World::new(backend).await;
    let due = START.after(Duration::from_secs(5));
    world.submit(Spec { run_at: due, ..spec() }).await;
    world.now = due;
    assert!(world.claim(0).await.is_empty());
    world.now = START;
    assert!(world.claim(1).await.is_empty());
    assert_eq!(world.store.waiting(), 1);
    world.now = due;
    assert_eq!(world.claim(1).await.len(), 1);
}

/// All that a handler needs comes with the claim.
pub async fn a_claim_gives_input_and_lease(backend: &dyn Backend) {
    let world = World::new(backend).await;
    let accepted = world.submit(spec()).await;
    let claimed = world.claim(1).await.pop().unwrap();
    assert_eq!((&claimed.input, &claimed.job.spec, claimed.steps.len()), (&input(1), &accepted.spec, 0));
    let life = &claimed.job.life;
    let lease = life.lease.as_ref().unwrap();
    assert_eq!((life.state, life.attempt, life.fence.0), (State::Running, 1, 1));
    assert_eq!((&lease.worker, lease.until), (&worker("w1"), START.after(LEASE)));
    assert_eq!(world.job(accepted.id).await, claimed.job);
}

/// What nobody wants any more is not begun.
pub async fn a_job_past_its_deadline_expires_when_claimed(backend: &dyn Backend) {
    let mut world = World::new(backend).await;
    let soon = START.after(Duration::from_secs(1));
    let late = world.submit(Spec { deadline: Some(soon), ..spec() }).await;
    let fine = world.submit(spec()).await;
    world.now = soon;
    let claimed = world.claim(1).await;
    assert_eq!(claimed.iter().map(|claimed| claimed.job.id).collect::<Vec<_>>(), [fine.id]);
    assert_eq!(world.state(late.id).await, State::Expired);
    assert_eq!(world.sweep().await.expired, 0);
}

/// Where a job stands, and how long the queues are.
pub async fn place_and_queues_tell_what_waits(backend: &dyn Backend) {
    let world = World::new(backend).await;
    let first = world.submit(spec()).await;
    let second = world.submit(spec()).await;
    let later = world.submit(Spec { run_at: START.after(LEASE), ..spec() }).await;
    assert_eq!(world.store.place(&second), Some(Place { ahead: 1, waiting: 2, behind: 0 }));
    assert_eq!(world.store.place(&later), None);
    assert_eq!(world.store.queues(), [QueueStatus { queue: spec().queue, ready: 2, paused: false }]);
    world.claim(1).await;
    assert_eq!(world.store.place(&first), None);
    assert_eq!(world.store.place(&second), Some(Place { ahead: 0, waiting: 1, behind: 0 }));
    assert_eq!(world.store.waiting(), 2);
}

/// However many ask at once.
pub async fn a_job_is_given_to_one_worker_only(backend: &dyn Backend) {
    let world = World::new(backend).await;
    world.accept_all((0..10).map(|_| new(spec())).collect()).await;
    let (a, b, c) = tokio::join!(world.claim_as("a", 4), world.claim_as("b", 4), world.claim_as("c", 4));
    let mut ids: Vec<_> = a.iter().chain(&b).chain(&c).map(|claimed| claimed.job.id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 10);
}
