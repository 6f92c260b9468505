//! Lists of jobs.

use std::time::Duration;

use raincheck_core::{JobId, Note, Progress, Spec, State};

use super::Backend;
use super::world::{START, World, completed, new, spec};
use crate::Filter;

/// A cursor walks over all jobs, and over none twice.
pub async fn newest_come_first_page_by_page(backend: &dyn Backend) {
    let world = World::new(backend).await;
    let mut ids = Vec::new();
    for number in 0..7 {
        ids.insert(0, world.submit(spec()).await.id);
        if number % 2 == 0 {
            let running = world.start().await;
            world.finish(&running, completed()).await.unwrap();
        } else {
            world.cancel(ids[0], None).await;
        }
    }
    assert_eq!(world.list(Filter::default()).await, ids);
    let (mut listed, mut before) = (Vec::new(), None);
    loop {
        let page = world.store.list(Filter { before, ..Filter::default() }, 3, world.now).await.unwrap();
        listed.extend(page.jobs.iter().map(|job| job.id));
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    assert_eq!(listed, ids);
}

/// Each alone, and together.
pub async fn filters_narrow_it(backend: &dyn Backend) {
    let world = World::new(backend).await;
    let plain = world.submit(spec()).await.id;
    let kind = world.submit(Spec { kind: "other".parse().unwrap(), ..spec() }).await.id;
    let queue = world.submit(Spec { queue: "other".parse().unwrap(), ..spec() }).await.id;
    let tenant = world.submit(Spec { tenant: "other".parse().unwrap(), ..spec() }).await.id;
    let labels = [("team".to_owned(), "blue".to_owned()), ("env".to_owned(), "test".to_owned())];
    let label = world.submit(Spec { labels: labels.clone().into(), ..spec() }).await.id;
    let cancelled = world.submit(spec()).await.id;
    world.cancel(cancelled, None).await;
    let check = async |filter: Filter, expected: &[JobId]| assert_eq!(world.list(filter).await, expected);
    let any = Filter::default;
    check(Filter { kind: Some("other".parse().unwrap()), ..any() }, &[kind]).await;
    check(Filter { queue: Some("other".parse().unwrap()), ..any() }, &[queue]).await;
    check(Filter { tenant: Some("other".parse().unwrap()), ..any() }, &[tenant]).await;
    check(Filter { tenant: Some("nobody".parse().unwrap()), ..any() }, &[]).await;
    check(Filter { labels: labels[..1].to_vec(), ..any() }, &[label]).await;
    check(Filter { labels: labels.to_vec(), ..any() }, &[label]).await;
    check(Filter { labels: vec![("env".into(), "live".into())], ..any() }, &[]).await;
    check(Filter { state: Some(State::Cancelled), ..any() }, &[cancelled]).await;
    let own = Filter { tenant: Some(spec().tenant), state: Some(State::Queued), ..any() };
    check(own, &[label, queue, kind, plain]).await;
    check(Filter { before: Some(queue.key()), ..any() }, &[kind, plain]).await;
}

/// A call looks at some jobs only, and says where the next one goes on.
pub async fn what_is_far_back_is_found_by_the_cursor(backend: &dyn Backend) {
    let world = World::new(backend).await;
    let ended = world.submit(spec()).await.id;
    world.cancel(ended, None).await;
    let other = world.submit(Spec { kind: "other".parse().unwrap(), ..spec() }).await.id;
    let blue = [("team".to_owned(), "blue".to_owned())];
    let label = world.submit(Spec { labels: blue.clone().into(), ..spec() }).await.id;
    for _ in 0..3 {
        world.store.accept((0..700).map(|_| new(spec())).collect(), world.now).await.unwrap();
    }
    let walk = async |filter: Filter| {
        let (mut listed, mut before) = (Vec::new(), None);
        loop {
            let page = world.store.list(Filter { before, ..filter.clone() }, 100, world.now).await.unwrap();
            listed.extend(page.jobs.iter().map(|job| job.id));
            assert!(page.next.is_none_or(|next| before.is_none_or(|before| next < before)), "it goes on");
            before = page.next;
            if before.is_none() {
                return listed;
            }
        }
    };
    let any = Filter::default;
    assert_eq!(walk(Filter { state: Some(State::Cancelled), ..any() }).await, [ended]);
    assert_eq!(walk(Filter { state: Some(State::Running), ..any() }).await, []);
    assert_eq!(walk(Filter { kind: Some("other".parse().unwrap()), ..any() }).await, [other]);
    let own = Filter { kind: Some("other".parse().unwrap()), state: Some(State::Queued), ..any() };
    assert_eq!(walk(own).await, [other]);
    assert_eq!(walk(Filter { labels: blue.to_vec(), ..any() }).await, [label]);
    assert_eq!(walk(any()).await.len(), 2_103);
}

/// Whatever it takes to store them.
pub async fn labels_of_any_text_are_found(backend: &dyn Backend) {
    let world = World::new(backend).await;
    let labels = [("plain", "Grüße 🎵"), ("quo\"ted", "a \"b\" \\ c"), ("line", "one\ntwo\u{7f}\u{1}"), ("empty", "")];
    let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let job = world.submit(Spec { labels: labels.clone().into(), ..spec() }).await.id;
    let unlabelled = world.submit(Spec { labels: [].into(), ..spec() }).await.id;
    for label in &labels {
        assert_eq!(world.list(Filter { labels: vec![label.clone()], ..Filter::default() }).await, [job]);
        let other = (label.0.clone(), format!("{}?", label.1));
        assert_eq!(world.list(Filter { labels: vec![other], ..Filter::default() }).await, []);
    }
    assert_eq!(world.list(Filter::default()).await, [unlabelled, job]);
}

/// Nobody has to write down that time has passed.
pub async fn a_job_whose_time_has_come_is_listed_as_queued(backend: &dyn Backend) {
    let mut world = World::new(backend).await;
    let job = world.submit(Spec { run_at: START.after(Duration::from_secs(5)), ..spec() }).await.id;
    let queued = || Filter { state: Some(State::Queued), ..Filter::default() };
    assert_eq!(world.list(queued()).await, []);
    world.pass(Duration::from_secs(5));
    assert_eq!(world.list(queued()).await, [job]);
}

/// Results could be large.
pub async fn outcomes_are_left_out_and_progress_is_not(backend: &dyn Backend) {
    let world = World::new(backend).await;
    world.submit(spec()).await;
    let running = world.start().await;
    let progress = Progress::counted(1, 2, "half");
    world.append(&running, vec![Note::Progress(progress.clone())]).await.unwrap();
    let listed = async || world.store.list(Filter::default(), 9, world.now).await.unwrap().jobs.pop().unwrap();
    assert_eq!(listed().await, world.job(running.id).await);
    world.finish(&running, completed()).await.unwrap();
    let job = listed().await;
    assert_eq!((job.outcome, job.life.state, job.life.progress), (None, State::Completed, Some(progress)));
}
