//! Promise: requests under one idempotency key give one job, however many come at once and whatever happens between them;
//! the same key with another body is refused.

use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use rand::RngExt;

use super::http::Answer;
use super::job;
use super::server::{Launch, Server};
use super::stage::{Client, Stage};
use super::trial::{chance, rounds};
use crate::support::Place;

const CALLERS: usize = 200;
const BODY: &str = r#"{"kind": "sleep", "input": {"seconds": 0.01}}"#;

/// All callers send the same request at the same moment, each over a connection of its own, until each has an answer;
/// meanwhile `meanwhile` happens.
fn storm(stage: &Stage, key: &str, meanwhile: impl FnOnce()) -> Vec<Answer> {
    let barrier = Barrier::new(CALLERS + 1);
    thread::scope(|scope| {
        let caller = || {
            let mut client = Client::new(stage);
            let connected = client.once(|http| http.get("/healthz"));
            barrier.wait();
            drop(connected);
            client.submit(key, BODY)
        };
        let callers: Vec<_> = (0..CALLERS).map(|_| scope.spawn(caller)).collect();
        barrier.wait();
        meanwhile();
        callers.into_iter().map(|caller| caller.join().expect("a caller")).collect()
    })
}

fn check_one_job(server: &Server, answers: &[Answer], jobs: usize) {
    let id = answers[0].id();
    for answer in answers {
        assert_eq!((answer.status, answer.id()), (202, id.clone()), "{answer}");
    }
    let new = answers.iter().filter(|answer| answer.header("idempotency-replayed").is_none()).count();
    assert!(new <= 1, "{new} callers were told that the job is new");
    let there = job::all(&mut server.http());
    assert_eq!(there.len(), jobs, "one job for each key");
    job::check_ended(&mut server.http(), &id);
}

#[test]
fn two_hundred_requests_at_once_give_one_job() {
    let place = Place::new();
    let server = Launch::at(&place).start();
    let stage = Stage::new(server.address());
    let storms = rounds(3);
    for number in 1..=storms {
        let answers = storm(&stage, &format!("storm-{number}"), || {});
        check_one_job(&server, &answers, number);
    }
    println!("{storms} storms of {CALLERS} requests");
}

#[test]
fn a_kill_in_the_middle_changes_nothing_about_that() {
    let place = Place::new();
    let mut server = Launch::at(&place).start();
    let stage = Stage::new(server.address());
    let mut chance = chance(2);
    let storms = rounds(5);
    for number in 1..=storms {
        let answers = storm(&stage, &format!("storm-{number}"), || {
            thread::sleep(Duration::from_millis(chance.random_range(0..40)));
            server.kill();
            stage.gone();
            stage.here(server.start_again());
        });
        check_one_job(&server, &answers, number);
    }
    println!(
        "{storms} storms of {CALLERS} requests, each with a kill; {} had to ask again",
        stage.unanswered.into_inner()
    );
}

#[test]
fn another_request_under_a_key_is_refused_also_after_a_kill() {
    let place = Place::new();
    let mut server = Launch::at(&place).start();
    let first = server.http().submit("mine", BODY).expect("an answer").id();
    for killed in [false, true] {
        if killed {
            server.kill();
            server.start_again();
        }
        let mut http = server.http();
        let other = http.submit("mine", r#"{"kind": "sleep", "input": {"seconds": 0.02}}"#).expect("an answer");
        assert_eq!((other.status, other.problem().as_str()), (422, "idempotency-key-reused"), "{other}");
        assert_eq!(other.outcome(), "rejected");
        assert_eq!(http.submit("mine", BODY).expect("an answer").id(), first);
        assert_eq!(job::all(&mut http), std::slice::from_ref(&first));
    }
}
