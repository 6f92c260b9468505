//! How a server stops, and that nothing is lost by it.

use rustix::process::Signal;

use crate::support::{Place, Server};

#[test]
fn a_running_job_may_end_before_the_server_does() {
    let place = Place::new();
    let server = Server::start(&place, &[]);
    let job = server.submit(r#"{"kind": "sleep", "input": {"seconds": 1}}"#);
    server.running(&job);
    assert_eq!(server.stop().code(), Some(0));
    let server = Server::start(&place, &[]);
    let job = server.job(&job);
    assert_eq!((&job["state"], &job["attempt"]), (&"completed".into(), &1.into()));
}

#[test]
fn a_job_that_takes_too_long_is_handed_back_and_runs_again() {
    let place = Place::new();
    let server = Server::configured(&place, "[server]\ndrain_grace = \"0s\"\n");
    let job = server.submit(r#"{"kind": "sleep", "input": {"seconds": 2}}"#);
    server.running(&job);
    assert_eq!(server.stop().code(), Some(0));
    let server = Server::start(&place, &[]);
    let job = server.ended(&job);
    assert_eq!((&job["state"], &job["attempt"], &job["failures"]), (&"completed".into(), &2.into(), &0.into()));
}

#[test]
fn a_job_outlives_a_crash() {
    let place = Place::new();
    let server = Server::start(&place, &[]);
    let job = server.submit(r#"{"kind": "sleep", "input": {"seconds": 1}}"#);
    server.running(&job);
    server.kill();
    let server = Server::start(&place, &[]);
    assert_eq!(server.ended(&job)["state"], "completed");
}

#[test]
fn a_second_signal_stops_it_at_once() {
    let place = Place::new();
    let server = Server::start(&place, &[]);
    let job = server.submit(r#"{"kind": "sleep", "input": {"seconds": 600}}"#);
    server.running(&job);
    server.signal(Signal::TERM);
    // Signals of one sort that come together are one; another sort is surely a second.
    server.signal(Signal::INT);
    assert_eq!(server.wait().code(), Some(130));
}
