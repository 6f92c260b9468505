//! What a job's log must be like, whatever happened to it.

use serde_json::Value;

use super::http::Http;

const FINAL: [&str; 4] = ["completed", "failed", "cancelled", "expired"];

pub(crate) fn is_final(state: &str) -> bool {
    FINAL.contains(&state)
}

/// The type of an event.
pub(crate) fn kind_of(event: &Value) -> &str {
    event["type"].as_str().unwrap_or("?")
}

/// A whole log, page by page.
pub(crate) fn log(http: &mut Http, id: &str) -> Vec<Value> {
    let mut events = Vec::new();
    loop {
        let after = events.len();
        let page = http.get(&format!("/v1/jobs/{id}/events?after={after}&limit=1000")).expect("an answer");
        assert_eq!(page.status, 200, "the log of {id}: {page}");
        let page = page.json();
        events.extend(page["events"].as_array().expect("events").iter().cloned());
        if page["last_seq"].as_u64() == Some(events.len() as u64) {
            return events;
        }
        assert!(events.len() > after, "the log of {id} ends before its last event: {page}");
    }
}

/// Waits until a job has ended; gives it.
pub(crate) fn ended(http: &mut Http, id: &str) -> Value {
    let answer = http.get(&format!("/v1/jobs/{id}?wait=30")).expect("an answer");
    assert_eq!(answer.status, 200, "job {id}: {answer}");
    let job = answer.json();
    assert!(is_final(job["state"].as_str().unwrap_or_default()), "not ended within 30 s: {job}");
    job
}

/// Waits until a job has ended, and checks its log.
pub(crate) fn check_ended(http: &mut Http, id: &str) -> Value {
    let job = ended(http, id);
    let log = log(http, id);
    check(&log);
    let last = log.last().map(kind_of).unwrap_or_default();
    assert_eq!(job["state"], last, "the state of {id} is not what its log ends with: {}", types(&log));
    job
}

/// Checks what holds for every log at every moment; the last event may be a final one.
pub(crate) fn check(log: &[Value]) {
    let story = || types(log);
    assert_eq!(kind_of(&log[0]), "accepted", "{}", story());
    assert!(log.iter().map(|event| event["seq"].as_u64()).eq((1..=log.len() as u64).map(Some)), "a gap: {}", story());
    let finals = log.iter().filter(|event| is_final(kind_of(event))).count();
    let last_is_final = is_final(kind_of(&log[log.len() - 1]));
    assert_eq!(finals, usize::from(last_is_final), "ended twice, or went on after its end: {}", story());
    let attempts = log.iter().map(|event| event["attempt"].as_u64().expect("a number"));
    assert!(attempts.is_sorted(), "an attempt wrote after a later one began: {}", story());
    let mut running = false;
    for event in log {
        match kind_of(event) {
            "started" => assert!(!std::mem::replace(&mut running, true), "two attempts at once: {}", story()),
            "retry_scheduled" | "postponed" | "lease_lost" | "released" => running = false,
            _ => {}
        }
    }
    let mut highest = (0, 0.0);
    for event in log.iter().filter(|event| kind_of(event) == "progress") {
        let this = (event["attempt"].as_u64().unwrap_or(0), event["data"]["percent"].as_f64().unwrap_or(0.0));
        assert!(this.0 > highest.0 || this.1 >= highest.1, "progress fell: {}", story());
        highest = this;
    }
}

/// A log in short.
pub(crate) fn types(log: &[Value]) -> String {
    let short: Vec<String> = log.iter().map(|event| format!("{}@{}", kind_of(event), event["attempt"])).collect();
    short.join(" ")
}

/// The ids of all jobs that the server has, sorted.
pub(crate) fn all(http: &mut Http) -> Vec<String> {
    let (mut ids, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = http.get(&format!("/v1/jobs?limit=1000{cursor}")).expect("an answer");
        assert_eq!(page.status, 200, "the list: {page}");
        let page = page.json();
        let jobs = page["jobs"].as_array().expect("jobs");
        ids.extend(jobs.iter().map(|job| job["id"].as_str().expect("an id").to_owned()));
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    ids.sort();
    ids
}
