//! Promise: whoever follows a job over SSE and comes back with `Last-Event-ID` gets every event once and in order, cut off
//! at any moment and across a `kill -9` of the server: exactly what the JSON log says.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;
use serde_json::Value;

use super::http::Http;
use super::job::{self, is_final, kind_of};
use super::server::Launch;
use super::stage::Stage;
use super::trial::{chance, rounds};
use crate::support::Place;

const FOLLOWERS: u64 = 24;

/// Takes whole events out of what has arrived; checks that the fields agree with one another.
fn events(buffer: &mut String) -> Vec<Value> {
    let mut events = Vec::new();
    while let Some((frame, rest)) = buffer.split_once("\n\n") {
        let field = |name: &str| frame.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        if let Some(data) = field("data") {
            let event: Value = serde_json::from_str(data).expect("an event's data is JSON");
            assert_eq!(field("id").and_then(|id| id.parse().ok()), event["seq"].as_u64(), "{frame}");
            assert_eq!(field("event"), Some(kind_of(&event)), "{frame}");
            events.push(event);
        }
        *buffer = rest.to_owned();
    }
    events
}

/// Follows from where it was, until cut off by chance, by the server's death or by the end.
fn follow(http: &mut Http, id: &str, seen: &mut Vec<Value>, chance: &mut StdRng) -> std::io::Result<()> {
    let after = seen.last().map_or(String::new(), |event| format!("last-event-id: {}\r\n", event["seq"]));
    let head = format!("GET /v1/jobs/{id}/events HTTP/1.1\r\nhost: localhost\r\naccept: text/event-stream\r\n");
    http.send(format!("{head}{after}\r\n").as_bytes())?;
    let (status, _) = http.head()?;
    if status == 204 {
        let ended = seen.last().is_some_and(|event| is_final(kind_of(event)));
        assert!(ended, "told that there is nothing more after {seen:?}");
        return Ok(());
    }
    assert_eq!(status, 200);
    http.set_read_timeout(Duration::from_millis(chance.random_range(1..300)));
    let mut buffer = String::new();
    let chunks = chance.random_range(1..40);
    for _ in 0..chunks {
        let Some(chunk) = http.chunk()? else {
            let ended = seen.last().is_some_and(|event| is_final(kind_of(event)));
            assert!(ended, "the stream ended before the job: {}", job::types(seen));
            return Ok(());
        };
        // The texts here are ASCII, so no chunk can end within a character.
        buffer.push_str(std::str::from_utf8(&chunk).expect("ASCII"));
        seen.extend(events(&mut buffer));
    }
    Err(std::io::ErrorKind::TimedOut.into())
}

/// Follows a job to its end, however often it is cut off.
fn follow_to_the_end(stage: &Stage, id: &str, part: u64, cuts: &AtomicUsize) -> Vec<Value> {
    let (mut seen, mut chance) = (Vec::new(), chance(part));
    loop {
        let address = stage.address().expect("the server comes back");
        let followed = Http::connect(address).and_then(|mut http| follow(&mut http, id, &mut seen, &mut chance));
        if followed.is_ok() && seen.last().is_some_and(|event| is_final(kind_of(event))) {
            return seen;
        }
        cuts.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn followers_cut_off_at_random_get_every_event_once_and_in_order() {
    let place = Place::new();
    let mut server = Launch::at(&place).with("ENGINE_PROGRESS_INTERVAL", "20ms").start();
    let stage = Stage::new(server.address());
    let cuts = AtomicUsize::new(0);
    let (mut kills, mut events) = (0, 0);
    for round in 0..rounds(1) {
        let ids: Vec<String> = (0..FOLLOWERS / 3)
            .map(|number| {
                let body = format!(r#"{{"kind": "sleep", "input": {{"seconds": {}}}}}"#, 2.0 + number as f64 / 3.0);
                server.http().submit("", &body).expect("an answer").id()
            })
            .collect();
        let followed: Vec<(String, Vec<Value>)> = thread::scope(|scope| {
            let (stage, cuts) = (&stage, &cuts);
            let followers = (0..FOLLOWERS).map(|number| {
                let id = ids[usize::try_from(number).expect("small") % ids.len()].clone();
                let part = round as u64 * FOLLOWERS + number;
                scope.spawn(move || (id.clone(), follow_to_the_end(stage, &id, part, cuts)))
            });
            let followers: Vec<_> = followers.collect();
            for _ in 0..2 {
                thread::sleep(Duration::from_millis(900));
                server.kill();
                stage.gone();
                stage.here(server.start_again());
                kills += 1;
            }
            followers.into_iter().map(|follower| follower.join().expect("a follower")).collect()
        });
        let mut http = server.http();
        for (id, seen) in &followed {
            let log = job::log(&mut http, id);
            job::check(&log);
            assert_eq!(*seen, log, "a follower of {id} saw {} and the log says {}", job::types(seen), job::types(&log));
            events += seen.len();
        }
    }
    println!("{} cuts, {kills} kills, {events} events received", cuts.into_inner());
}
