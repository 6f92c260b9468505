use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Platform, QUESTION, answer, ask, constant, ended, jobs};
use crate::proof::{allowed, now, percentile};
use crate::support::{Server, get, memory_kib, post, request};

const USERS: usize = 100;
/// By row A5.
const ACCEPT_MAX: Duration = Duration::from_millis(100);

/// How long each of these took that came at once, sorted.
fn at_once(send: impl Fn(usize) + Sync) -> Vec<Duration> {
    let start = Barrier::new(USERS);
    let user = |user: usize| {
        start.wait();
        let asked = now();
        send(user);
        asked.elapsed()
    };
    let user = &user;
    let mut took: Vec<Duration> = thread::scope(|scope| {
        let users: Vec<_> = (0..USERS).map(|number| scope.spawn(move || user(number))).collect();
        users.into_iter().map(|user| user.join().expect("a user")).collect()
    });
    took.sort();
    took
}

/// Rows A5 and A6.
#[test]
fn a_hundred_users_at_once_are_accepted_at_once_however_slow_the_provider_is() {
    let platform = Platform::new(&constant(5_000));
    let server = platform.serve();
    let before = memory_kib(server.pid());
    for seconds in [5_u64, 15, 30] {
        let slower =
            request(platform.simulator.address, "PUT", "/sim/config", &[], &constant(seconds * 1_000).to_string());
        assert_eq!(slower.status, 200, "{slower:?}");
        let stop = AtomicBool::new(false);
        let (accepted, lessons) = thread::scope(|scope| {
            let lessons = scope.spawn(|| {
                let mut took = Vec::new();
                while !stop.load(Ordering::SeqCst) {
                    let start = now();
                    assert_eq!(get(server.address, "/pages/course/").status, 200);
                    took.push(start.elapsed());
                }
                took.sort();
                took
            });
            let accepted = at_once(|_| drop(ask(&server, QUESTION, None)));
            stop.store(true, Ordering::SeqCst);
            (accepted, lessons.join().expect("lessons"))
        });
        let of = |times: &[Duration]| [50, 99].map(|percent| percentile(times, percent));
        println!(
            "provider {seconds} s: {USERS} accepted, p50/p99 {:?}; pages meanwhile {:?}",
            of(&accepted),
            of(&lessons)
        );
        // A hundred at once share the cores with a hundred clients: on a busy machine a page takes its time as well.
        let max = allowed(ACCEPT_MAX, percentile(&lessons, 50));
        assert!(of(&accepted)[1] < max && of(&lessons)[1] < max, "{max:?}");
    }
    let grown = memory_kib(server.pid()).saturating_sub(before);
    println!("{} questions under way took {grown} KiB", 3 * USERS);
    assert!(grown < 96 << 10, "{grown} KiB");
    let waiting = jobs(&server, "course.assistant").iter().filter(|job| job["state"] != "completed").count();
    assert!(waiting >= 2 * USERS, "they were accepted before they were answered: {waiting}");
}

/// Rows A7 and A8: a thousand jobs of three priorities, and one worker.
#[test]
fn of_a_thousand_jobs_for_one_worker_a_new_urgent_one_is_next_and_the_least_urgent_go_on() {
    let platform = Platform::changed(&constant(1), "[engine]\nconcurrency = 1\n", &[]);
    let server = platform.serve();
    let (personas, copilots, questions) = (650, 300, 50);
    accept_all(&server, personas, copilots);
    for _ in 0..questions {
        assert_eq!(answer(&server, &ask(&server, QUESTION, None))["status"], "completed");
    }
    let all = all_ended(&server, personas + copilots + questions);
    let at = |job: &Value, name: &str| job[name].as_str().expect("a time").to_owned();
    let mut started: Vec<(String, String, u8)> = all
        .iter()
        .map(|job| {
            (at(job, "started_at"), at(job, "created_at"), job["priority"].as_str().unwrap().as_bytes()[1] - b'0')
        })
        .collect();
    started.sort();
    // How many were begun between the acceptance of an urgent job and its start.
    let before = |(start, created, _): &(String, String, u8)| {
        started.iter().filter(|(other, ..)| other > created && other < start).count()
    };
    let waits: Vec<usize> = started.iter().filter(|(.., priority)| *priority == 0).map(before).collect();
    // One whose turn it was, and one that was being begun as it came.
    assert!(waits.iter().all(|wait| *wait <= 2), "{waits:?}");
    // While more urgent ones wait, each sixteenth is one of the least urgent.
    let last_copilot = started.iter().rposition(|(.., priority)| *priority == 1).expect("copilots");
    let first_copilot = started.iter().position(|(.., priority)| *priority == 1).expect("copilots");
    let between = &started[first_copilot..last_copilot];
    let priorities: Vec<u8> = between.iter().map(|(.., priority)| *priority).collect();
    assert!(priorities.windows(2 * 16).all(|turns| turns.contains(&2)), "{priorities:?}");
    let low = priorities.iter().filter(|priority| **priority == 2).count();
    assert!(low < priorities.len() / 4, "urgent ones come first: {low} of {}", priorities.len());
    println!("waits of {questions} urgent jobs: {waits:?}; {low} of {} starts were personas", priorities.len());
}

/// Submits what may wait, from a few clients at once.
fn accept_all(server: &Server, personas: usize, copilots: usize) {
    let accept = |path: &str, body: Value| {
        let reply = post(server.address, path, &body.to_string());
        assert_eq!(reply.status, 202, "{reply:?}");
    };
    let accept = &accept;
    let client = move |client: usize| {
        for number in (client..personas.max(copilots)).step_by(4) {
            if number < personas {
                accept("/api/personas", json!({ "userId": format!("u{number}"), "profile": "Asks much." }));
            }
            if number < copilots {
                accept(&format!("/api/tutors/t{number}/copilot"), json!({ "transcript": "Ada: I do not get joins." }));
            }
        }
    };
    thread::scope(|scope| (0..4).for_each(|number| drop(scope.spawn(move || client(number)))));
}

/// All jobs, when they have ended.
fn all_ended(server: &Server, count: usize) -> Vec<Value> {
    let last = jobs(server, "course.persona")[0]["id"].as_str().expect("an id").to_owned();
    ended(server, &format!("/api/personas/jobs/{last}"));
    let all = server.get("/v1/jobs?limit=1000").json()["jobs"].as_array().expect("jobs").clone();
    assert_eq!(all.len(), count);
    assert!(all.iter().all(|job| job["state"] == "completed"), "none is lost");
    all
}
