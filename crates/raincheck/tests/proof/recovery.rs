//! Promise: what ran when the server was killed runs again as soon as it is back, without waiting for a lease; a job
//! whose workers die three times is put aside instead of killing a fourth.

use std::time::Duration;

use super::job::{self, kind_of};
use super::server::Launch;
use super::trial::{allowed, now, within};
use crate::support::Place;

/// As it is by default.
const LEASE: Duration = Duration::from_secs(15);

#[test]
fn jobs_of_a_killed_server_run_again_at_once() {
    let place = Place::new();
    let mut server = Launch::at(&place).start();
    let mut http = server.http();
    let ids: Vec<String> = (0..20)
        .map(|_| http.submit("", r#"{"kind": "sleep", "input": {"seconds": 60}}"#).expect("an answer").id())
        .collect();
    let running = |http: &mut super::http::Http, attempt: u64| {
        ids.iter().all(|id| {
            let job = http.get(&format!("/v1/jobs/{id}")).expect("an answer").json();
            job["state"] == "running" && job["attempt"].as_u64() == Some(attempt)
        })
    };
    within(Duration::from_secs(10), "all jobs run", || running(&mut http, 1).then_some(()));
    server.kill();
    let start = now();
    server.start_again();
    let listening = start.elapsed();
    let mut http = server.http();
    within(Duration::from_secs(10), "all jobs run again", || running(&mut http, 2).then_some(()));
    let again = start.elapsed();
    println!("listening after {listening:?}; {} jobs running again after {again:?}", ids.len());
    let small = now();
    http.submit("", r#"{"kind": "echo", "delay": 3600}"#).expect("an answer").id();
    let limit = allowed(Duration::from_secs(1), small.elapsed()).min(LEASE / 2);
    assert!(again - listening < limit, "nobody had to wait for the lease: {again:?}, and {limit:?} is allowed");
    for id in &ids {
        let log = job::log(&mut http, id);
        job::check(&log);
        assert!(log.iter().any(|event| kind_of(event) == "lease_lost"), "{}", job::types(&log));
    }
}

#[test]
fn a_job_whose_server_dies_three_times_is_put_aside_and_the_others_go_on() {
    let place = Place::new();
    let mut server = Launch::at(&place).start();
    let poison = server.http().submit("", r#"{"kind": "sleep", "input": {"seconds": 60}}"#).expect("an answer").id();
    for death in 1..=3 {
        let mut http = server.http();
        within(Duration::from_secs(10), "it runs", || {
            let job = http.get(&format!("/v1/jobs/{poison}")).expect("an answer").json();
            (job["state"] == "running" && job["attempt"].as_u64() == Some(death)).then_some(())
        });
        server.kill();
        server.start_again();
    }
    let mut http = server.http();
    let job = job::check_ended(&mut http, &poison);
    assert_eq!(job["state"], "failed");
    assert_eq!(job["error"]["type"], "urn:raincheck:problem:quarantined", "{job}");
    let good = http.submit("", r#"{"kind": "echo"}"#).expect("an answer").id();
    assert_eq!(job::check_ended(&mut http, &good)["state"], "completed");
}
