//! Promise: a server that is stopped past its leases and goes on later breaks nothing: no job ends twice, and its own
//! attempts, which slept as it did, are not taken for those of a dead worker.

use std::thread;
use std::time::Duration;

use super::job;
use super::server::Launch;
use super::trial::{rounds, within};
use crate::support::Place;

const LEASE: Duration = Duration::from_secs(1);

#[test]
fn a_server_paused_past_its_leases_ends_every_job_once() {
    let place = Place::new();
    let server = Launch::at(&place).with("ENGINE_LEASE", "1s").start();
    let mut http = server.http();
    let sleepers: Vec<String> = (0..50)
        .map(|number| {
            let body = format!(r#"{{"kind": "sleep", "input": {{"seconds": {}}}}}"#, 0.1 + f64::from(number) * 0.06);
            http.submit("", &body).expect("an answer").id()
        })
        .collect();
    within(Duration::from_secs(10), "all are under way", || {
        let queued = http.get("/v1/jobs?state=queued").expect("an answer").json();
        (queued["jobs"] == serde_json::json!([])).then_some(())
    });
    let pauses = rounds(4);
    for _ in 0..pauses {
        server.pause();
        // The pause is what is tried.
        thread::sleep(LEASE + Duration::from_millis(700));
        server.go_on();
        assert_eq!(http.get("/healthz").expect("an answer").status, 200);
        // Long enough for some to end and the others to be under way again.
        thread::sleep(Duration::from_millis(300));
    }
    for id in &sleepers {
        let job = job::check_ended(&mut http, id);
        assert_eq!(job["state"], "completed", "{job}");
        assert_eq!(job["attempt"], 1, "a pause was taken for a death: {}", job::types(&job::log(&mut http, id)));
    }
    println!("{pauses} pauses; {} jobs", sleepers.len());
}
