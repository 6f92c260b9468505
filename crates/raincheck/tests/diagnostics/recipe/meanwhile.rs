use std::time::Duration;

use serde_json::{Value, json};

use super::{RUBRIC, ended, says, scaled, send, serve, submit};
use crate::diagnostics::Stage;
use crate::proof::{allowed, now, percentile, within};
use crate::support::Server;

/// How long 200 answers took each of: the list of tasks, a status, and an endpoint that has nothing to do with either.
fn times(server: &Server, status: &str) -> [Vec<Duration>; 3] {
    let mut times = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..200 {
        for (path, times) in ["/api/tasks", status, "/healthz"].iter().zip(&mut times) {
            let asked = now();
            assert_eq!(server.get(path).status, 200, "{path}");
            times.push(asked.elapsed());
        }
    }
    times.iter_mut().for_each(|times| times.sort());
    times
}

/// They answer at once: in less than 50 ms, but for a machine where even what does nothing takes its time.
fn answer_at_once(server: &Server, status: &str, what: &str) {
    let [tasks, status, health] = times(server, status).map(|times| percentile(&times, 99));
    println!("p99 of 200 while {what}: tasks {tasks:?}, status {status:?}, health {health:?}");
    let limit = allowed(Duration::from_millis(50), health);
    assert!(tasks < limit && status < limit, "tasks {tasks:?}, status {status:?}, and {limit:?} is allowed");
}

#[test]
fn a_diagnostic_is_accepted_at_once_and_its_status_is_there() {
    let stage = Stage::new(|_| {});
    let server = serve(&stage);
    let accept = |number: u32| {
        let text = format!("Call {number}: {}", "Agent: Yes? ".repeat(20_000));
        let sent = now();
        let reply = send(&server, &[("file", &text), ("rubric", RUBRIC)], &[]);
        let took = sent.elapsed();
        assert_eq!(reply.status, 202, "{reply:?}");
        assert_eq!(server.get(&reply.headers["location"]).json()["id"], reply.json()["id"]);
        took
    };
    let mut times: Vec<Duration> = (0..9).map(accept).collect();
    times.sort();
    println!("accepted, with a file of 240 KB and its fsyncs: {times:?}");
    // How busy the machine is with other things is nothing to go by: nobody waits for the twelve minutes.
    assert!(times[0] < Duration::from_millis(100) && times[4] < Duration::from_secs(1), "{times:?}");
}

#[test]
fn while_a_file_goes_up_and_while_it_is_scored_everything_else_answers_at_once() {
    // Both take twelve minutes.
    let stage = Stage::new(|simulated| simulated["behaviour"]["upload_ms"] = json!({ "uniform": [0, 0] }));
    let server = serve(&stage);
    let scored = submit(&server, "Agent: Yes?");
    says(&server, &scored, "The upstream is at work");
    answer_at_once(&server, &scored, "a model scores");

    let stage = Stage::new(|simulated| simulated["behaviour"]["upload_ms"] = json!({ "constant": 720_000 }));
    let server = serve(&stage);
    let uploaded = submit(&server, "Agent: Yes?");
    says(&server, &uploaded, "Uploading call.txt");
    answer_at_once(&server, &uploaded, "a file goes up");
}

#[test]
fn as_many_are_scored_at_once_as_the_provider_takes_and_the_others_know_their_place() {
    let mut stage = Stage::new(scaled(240));
    stage.config = stage.config.replace("concurrency = 20", "concurrency = 4");
    let server = serve(&stage);
    let paths: Vec<String> = (0..10).map(|number| submit(&server, &format!("Call {number}"))).collect();
    let stand = || -> Vec<Value> { paths.iter().map(|path| server.get(path).json()).collect() };
    // One or two more may bring their files to the provider already; the others wait in the order in which they came.
    within(Duration::from_secs(20), "four are at work, and the others know their place", || {
        let told = stand();
        let queued: Vec<_> = told.iter().filter(|told| told["status"] == "queued").collect();
        let places: Vec<_> = queued.iter().filter_map(|told| told["position"].as_u64()).collect();
        let in_order: Vec<u64> = (1..).take(queued.len()).collect();
        let at_work = told.iter().filter(|told| told["message"] == "The upstream is at work").count();
        (at_work == 4 && places == in_order && queued.len() >= 4).then_some(())
    });
    for path in &paths {
        let told = ended(&server, path);
        assert_eq!((&told["status"], &told["position"]), (&json!("completed"), &Value::Null), "{told}");
    }
    assert_eq!((stage.total("executions"), stage.total("under_way_peak")), (10, 4));
}

#[test]
fn twenty_are_scored_at_once() {
    let stage = Stage::new(scaled(120));
    let server = serve(&stage);
    let paths: Vec<String> = (0..20).map(|number| submit(&server, &format!("Call {number}"))).collect();
    for path in &paths {
        assert_eq!(ended(&server, path)["status"], "completed");
    }
    assert_eq!((stage.total("executions"), stage.total("under_way_peak")), (20, 20));
}
