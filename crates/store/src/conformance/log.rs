//! Logs.

use raincheck_core::{EVENTS_MAX, Ending, EventBody, EventType, Json, Note, Outcome, Progress, Retry, StepRecord};
use serde_json::json;

use super::Backend;
use super::world::{World, completed, failed, spec};

fn output(number: usize) -> Note {
    Note::Output(json!({"chunk": number}).into())
}

/// Whatever happens to a job.
pub async fn a_log_has_no_gaps_and_one_end(backend: &dyn Backend) {
    let world = World::new(backend).await;
    let id = world.submit(spec()).await.id;
    let first = world.start().await;
    let step = Note::Step(StepRecord { name: "one".into(), result: json!(1).into() });
    world.append(&first, vec![output(1), step, Note::Progress(Progress::percent(5.0, ""))]).await.unwrap();
    world.finish_with(&first, vec![output(2)], failed(Retry::Backoff)).await.unwrap();
    let mut world = World { now: world.job(id).await.life.run_at, ..world };
    let second = world.start().await;
    world.finish(&second, Ending::Released).await.unwrap();
    let third = world.start().await;
    world.pass(super::world::LEASE);
    world.sweep().await;
    let fourth = world.start().await;
    assert_eq!((third.id, fourth.id), (id, id));
    world.finish_with(&fourth, vec![output(3)], completed()).await.unwrap();
    use EventType::{Accepted, Completed, LeaseLost, Output, Released, RetryScheduled, Started, Step};
    let story = world.story(id).await;
    let expected = [
        Accepted,
        Started,
        Output,
        Step,
        EventType::Progress,
        Output,
        RetryScheduled,
        Started,
        Released,
        Started,
        LeaseLost,
        Started,
        Output,
        Completed,
    ];
    assert_eq!(story, expected);
    let attempts: Vec<u32> = world.log(id).await.iter().map(|event| event.attempt).collect();
    assert_eq!(attempts, [0, 1, 1, 1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 4]);
}

/// However much an attempt says.
pub async fn a_full_log_takes_no_more_and_still_has_its_end(backend: &dyn Backend) {
    let world = World::new(backend).await;
    let id = world.submit(spec()).await.id;
    let running = world.start().await;
    let step = |name: &str| Note::Step(StepRecord { name: name.into(), result: json!(1).into() });
    for part in 0..=EVENTS_MAX / 1_000 {
        let last_seq = world.append(&running, (0..1_000).map(output).collect()).await.unwrap();
        assert_eq!(last_seq, (2 + (part + 1) * 1_000).min(EVENTS_MAX + 1));
    }
    assert_eq!(world.append(&running, vec![step("one"), output(1)]).await, Ok(EVENTS_MAX + 2));
    world.finish_with(&running, vec![output(2), step("two")], completed()).await.unwrap();
    use EventType::{Completed, LogFull, Output, Step};
    let page = world.store.read_log(id, None, EVENTS_MAX - 1, 100).await.unwrap().unwrap();
    let types: Vec<EventType> = page.events.iter().map(|event| event.body.event_type()).collect();
    assert_eq!(types, [Output, LogFull, Step, Step, Completed]);
    assert_eq!((page.last_seq, page.ended), (EVENTS_MAX + 4, true));
    assert_eq!(world.store.steps(id).await.unwrap().len(), 2);
}

/// Any cursor, any page size.
pub async fn a_log_is_read_page_by_page(backend: &dyn Backend) {
    let world = World::new(backend).await;
    let id = world.submit(spec()).await.id;
    for part in 0..2 {
        if part == 1 {
            let running = world.start().await;
            world.append(&running, (0..5).map(output).collect()).await.unwrap();
            world.finish(&running, completed()).await.unwrap();
        }
        let whole = world.log(id).await;
        for after in 0..=whole.len() + 1 {
            for max in 0..=whole.len() + 1 {
                let seq = u64::try_from(after).unwrap();
                let page = world.store.read_log(id, None, seq, max).await.unwrap().unwrap();
                let expected: Vec<_> = whole.iter().skip(after).take(max).cloned().collect();
                assert_eq!(page.events, expected, "after {after}, at most {max}");
                assert_eq!((page.last_seq, page.ended), (whole.last().unwrap().seq, part == 1));
            }
        }
    }
}

/// However large the events, one at least.
pub async fn a_page_is_about_a_mebibyte_at_most(backend: &dyn Backend) {
    let world = World::new(backend).await;
    let id = world.submit(spec()).await.id;
    let running = world.start().await;
    let large = || Note::Output(json!("x".repeat(700_000)).into());
    world.append(&running, vec![large(), large(), large(), large()]).await.unwrap();
    let page = world.store.read_log(id, None, 2, 100).await.unwrap().unwrap();
    assert!((1..=2).contains(&page.events.len()), "{} events", page.events.len());
    let (mut read, mut after) = (0, 0);
    while after < page.last_seq {
        let next = world.store.read_log(id, None, after, 100).await.unwrap().unwrap().events;
        read += next.len();
        after = next.last().expect("a page has one event at least").seq;
    }
    assert_eq!(read, 6);
}

/// Numbers keep their digits, and text its escapes.
pub async fn the_result_is_the_text_that_was_given(backend: &dyn Backend) {
    let world = World::new(backend).await;
    let id = world.submit(spec()).await.id;
    let running = world.start().await;
    let result = Json::from_text(r#"{"a": 1.10, "b": 12345678901234567890123, "c": "\u00e4 \u0000"}"#.into()).unwrap();
    world.append(&running, vec![Note::Output(result.clone())]).await.unwrap();
    world.finish(&running, Ending::Completed(result.clone())).await.unwrap();
    assert_eq!(world.outcome(id).await, Outcome::Completed(result.clone()));
    let log = world.log(id).await;
    assert_eq!(log[2].body, EventBody::Output(result.clone()));
    assert_eq!(log[3].body, EventBody::Finished(Outcome::Completed(result)));
}

/// As if the job did not exist.
pub async fn another_tenants_log_is_hidden(backend: &dyn Backend) {
    let world = World::new(backend).await;
    let id = world.submit(spec()).await.id;
    let (own, other) = (spec().tenant, "other".parse().unwrap());
    assert!(world.store.read_log(id, Some(&own), 0, 9).await.unwrap().is_some());
    assert!(world.store.read_log(id, Some(&other), 0, 9).await.unwrap().is_none());
    assert!(world.store.get(id, Some(&own)).await.unwrap().is_some());
    assert!(world.store.get(id, Some(&other)).await.unwrap().is_none());
    assert_eq!(world.store.delete(id, Some(&other)).await.unwrap(), None);
}
