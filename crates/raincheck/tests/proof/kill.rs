//! Promise: a 202 means that the job is on stable storage. It survives `kill -9` at any moment and reaches exactly one
//! final state, once; a request whose answer was lost can be sent again under its key and gives the same job.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use rand::RngExt;

use super::job;
use super::server::{Launch, Server, Tracer};
use super::stage::{Client, Stage};
use super::trial::{chance, rounds, within};
use crate::support::Place;

const SUBMITTERS: u64 = 8;

/// A few sorts of work: nothing, a little, enough to be killed in the middle, and some that fails.
fn body(number: u64, part: u64) -> String {
    match part % 8 {
        0 => format!(r#"{{"kind": "sleep", "input": {{"seconds": 0.3}}, "labels": {{"n": "{number}"}}}}"#),
        1 => r#"{"kind": "sleep", "input": {"seconds": 0.02, "fail": true}, "max_attempts": 1}"#.to_owned(),
        2 => r#"{"kind": "sleep", "input": {"seconds": 0.05}, "priority": "P1"}"#.to_owned(),
        _ => format!(r#"{{"kind": "echo", "input": {{"number": {number}, "padding": "{:>300}"}}}}"#, ""),
    }
}

/// Submits until the stage is over; gives what every key was answered with, and its request.
fn submit_on(stage: &Stage, submitter: u64) -> BTreeMap<String, (String, String)> {
    let mut chance = chance(submitter);
    let mut client = Client::new(stage);
    let mut accepted = BTreeMap::new();
    for number in 0.. {
        if stage.is_over() {
            break;
        }
        let (key, body) = (format!("{submitter}-{number}"), body(number, chance.random()));
        let answer = client.submit(&key, &body);
        assert_eq!(answer.status, 202, "{answer}");
        accepted.insert(key, (answer.id(), body));
        thread::sleep(Duration::from_micros(chance.random_range(0..6_000)));
    }
    accepted
}

#[test]
fn nothing_accepted_is_lost_or_done_twice_by_kills_at_random() {
    let place = Place::new();
    let mut server = Launch::at(&place).start();
    let stage = Stage::new(server.address());
    let kills = rounds(12);
    let accepted = thread::scope(|scope| {
        let curtain = stage.curtain();
        let stage = &stage;
        let submitters: Vec<_> = (0..SUBMITTERS).map(|n| scope.spawn(move || submit_on(stage, n))).collect();
        let mut chance = chance(99);
        for _ in 0..kills {
            // Chance itself is what is waited for: it decides where the kill falls.
            thread::sleep(Duration::from_millis(chance.random_range(1..400)));
            server.kill();
            stage.gone();
            stage.here(server.start_again());
        }
        drop(curtain);
        let mut accepted = BTreeMap::new();
        submitters.into_iter().for_each(|submitter| accepted.extend(submitter.join().expect("a submitter")));
        accepted
    });
    let states = check(&server, &accepted);
    let unanswered = stage.unanswered.into_inner();
    println!("{kills} kills; {} jobs accepted; {unanswered} requests unanswered; ended as {states:?}", accepted.len());
    assert!(unanswered > 0, "no kill fell into a request: nothing was tried");
}

/// Every accepted job is there, has ended once, and is what its key still gives; and there is no other.
fn check(server: &Server, accepted: &BTreeMap<String, (String, String)>) -> BTreeMap<String, usize> {
    let mut ids: Vec<&String> = accepted.values().map(|(id, _)| id).collect();
    ids.sort();
    assert!(ids.windows(2).all(|pair| pair[0] != pair[1]), "two keys gave one job");
    let (there, lacking) = (job::all(&mut server.http()), |there: &[String]| {
        ids.iter().filter(|id| there.binary_search(id).is_err()).map(ToString::to_string).collect::<Vec<String>>()
    });
    assert_eq!(lacking(&there), Vec::<String>::new(), "accepted jobs are lost");
    assert_eq!(there.len(), ids.len(), "an unanswered request gave a second job");
    let keys: Vec<&String> = accepted.keys().collect();
    let parts = keys.chunks(keys.len().div_ceil(4).max(1));
    thread::scope(|scope| {
        let parts: Vec<_> = parts.map(|keys| scope.spawn(move || check_part(server, accepted, keys))).collect();
        parts.into_iter().flat_map(|part| part.join().expect("a checker")).fold(BTreeMap::new(), |mut sum, state| {
            *sum.entry(state).or_default() += 1;
            sum
        })
    })
}

fn check_part(server: &Server, accepted: &BTreeMap<String, (String, String)>, keys: &[&String]) -> Vec<String> {
    let mut http = server.http();
    let mut states = Vec::new();
    for key in keys {
        let (id, body) = &accepted[*key];
        let again = http.submit(key, body).expect("an answer");
        assert_eq!((again.id(), again.header("idempotency-replayed")), (id.clone(), Some("true")), "{again}");
        let ended = job::check_ended(&mut http, id);
        states.push(ended["state"].as_str().expect("a state").to_owned());
    }
    states
}

/// SIGKILL inside the n-th write or sync of a commit, for every n that a commit has and some more.
#[test]
fn a_kill_inside_any_system_call_of_a_commit_loses_nothing() {
    let place = Place::new();
    let mut server = Launch::at(&place).start();
    let mut accepted = BTreeMap::new();
    let (mut kills, mut stored) = (0, 0);
    for round in 0..rounds(1) {
        for (call, numbers) in [("pwrite64", 1..9), ("fdatasync,fsync", 1..3)] {
            for number in numbers {
                let key = format!("{round}-{call}-{number}");
                let body = body(number, 3);
                let stage = Stage::new(server.address());
                let inject = format!("inject={call}:signal=KILL:when={number}");
                let tracer = Tracer::attach(&server, &["-e", &format!("trace={call}"), "-e", &inject]);
                // A commit may have fewer of these calls; then the next one has the n-th.
                let mut client = Client::new(&stage);
                let mut answered = None;
                while server.is_alive() {
                    match client.once(|http| http.submit(&key, &body)) {
                        Ok(answer) => answered = Some(answer.id()),
                        Err(_) => break,
                    }
                }
                within(Duration::from_secs(10), "the kill", || (!server.is_alive()).then_some(()));
                tracer.detach();
                kills += 1;
                server.start_again();
                let before = job::all(&mut server.http()).len();
                let id = server.http().submit(&key, &body).expect("an answer").id();
                stored += usize::from(job::all(&mut server.http()).len() == before);
                assert!(answered.is_none_or(|answered| answered == id), "the answered job is lost: {key}");
                accepted.insert(key, (id, body));
            }
        }
    }
    let states = check(&server, &accepted);
    println!("{kills} kills inside a system call; {stored} of the requests were stored; ended as {states:?}");
}
