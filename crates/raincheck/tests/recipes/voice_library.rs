//! The voice library (rows V1-V15), as its front end calls it. Which row is shown where, and which is not, stands in the recipe's
//! README.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use crate::proof::{allowed, now, percentile, within};
use crate::support::{Place, Reply, Server, post, waves};

const ROUTE: &str = "/api/voice-library/scan-libritts";
/// So many long files take some seconds.
const MANY: u16 = 120;

fn serve(place: &Place) -> Server {
    let recipe = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../recipes/voice-library");
    let config = recipe.join("raincheck.toml");
    let [recipe, config] = [recipe, config].map(|path| path.to_str().expect("a path").to_owned());
    Server::start(place, &["--config", &config, "--recipes", &recipe])
}

fn ask(server: &Server, path: impl AsRef<Path>) -> Reply {
    post(server.address, ROUTE, &json!({ "libritts_path": path.as_ref() }).to_string())
}

/// Has a directory scanned; gives the path of the task's status.
fn scan(server: &Server, path: impl AsRef<Path>) -> String {
    let reply = ask(server, path);
    assert_eq!(reply.status, 202, "{reply:?}");
    format!("/api/voice-library/scan-status/{}", reply.json()["task_id"].as_str().expect("a task"))
}

/// Waits until a task's status is this, and gives it.
fn status(server: &Server, path: &str, wanted: &str) -> Value {
    within(Duration::from_secs(60), wanted, || {
        let told = server.get(path).json();
        let is_over = ["completed", "failed", "cancelled"].contains(&told["status"].as_str().expect("a status"));
        assert!(!is_over || told["status"] == wanted, "{told}");
        (told["status"] == wanted).then_some(told)
    })
}

/// Waits until a task looks at files.
fn at_work(server: &Server, path: &str) -> Value {
    within(Duration::from_secs(60), "files are looked at", || {
        let told = server.get(path).json();
        assert_ne!(told["status"], "completed", "it was too fast");
        told["message"].as_str().is_some_and(|message| message.starts_with("Processing file")).then_some(told)
    })
}

#[test]
fn a_scan_is_accepted_at_once_in_the_documents_words() {
    let (place, corpus) = (Place::new(), waves::corpus(20));
    let server = serve(&place);
    let mut times = Vec::new();
    let mut last = Value::Null;
    for _ in 0..5 {
        let asked = now();
        let reply = ask(&server, corpus.path());
        times.push(asked.elapsed());
        assert_eq!(reply.status, 202, "{reply:?}");
        let id = reply.json()["task_id"].as_str().expect("a task").to_owned();
        assert_eq!((id.len(), id.matches('-').count()), (36, 4), "a UUID: {id}");
        let told = json!({
            "task_id": id,
            "status": "accepted",
            "message": "Scan started in background. Use task_id to check status.",
        });
        assert_eq!(reply.json(), told);
        last = told;
    }
    times.sort();
    println!("accepted: {times:?}");
    assert!(times[0] < Duration::from_millis(100), "{times:?}");
    let path = format!("/api/voice-library/scan-status/{}", last["task_id"].as_str().expect("a task"));
    let told = status(&server, &path, "completed");
    assert_eq!((&told["task_id"], &told["progress"]), (&last["task_id"], &json!(100)));
    assert_eq!((&told["results"]["files"], &told["results"]["ok"]), (&json!(21), &json!(20)), "{told}");
}

#[test]
fn the_documents_own_command_works_with_the_demo_configuration() {
    let place = Place::new();
    let server = serve(&place);
    let reply = post(server.address, ROUTE, r#"{"libritts_path": "/tmp"}"#);
    assert_eq!((reply.status, &reply.json()["status"]), (202, &json!("accepted")), "{reply:?}");
    let id = reply.json()["task_id"].as_str().expect("a task").to_owned();
    let told = status(&server, &format!("/api/voice-library/scan-status/{id}"), "completed");
    assert_eq!((&told["progress"], &told["results"]["is_partial"]), (&json!(100), &json!(false)), "{told}");
}

#[test]
fn progress_is_true_whole_and_never_falls_and_all_else_answers_meanwhile() {
    let (place, corpus) = (Place::new(), waves::long_corpus(MANY));
    let server = serve(&place);
    let path = scan(&server, corpus.path());
    let (mut seen, mut times, mut idle) = (Vec::new(), Vec::new(), Vec::new());
    loop {
        let asked = now();
        let told = server.get(&path).json();
        times.push(asked.elapsed());
        let asked = now();
        assert_eq!(server.get("/healthz").status, 200);
        idle.push(asked.elapsed());
        if told["status"] == "completed" {
            assert_eq!(told["results"]["files"], json!(MANY), "{told}");
            break;
        }
        let percent = told["progress"].as_u64().unwrap_or_else(|| panic!("a whole number: {told}"));
        let message = told["message"].as_str().expect("a message").to_owned();
        if let Some(counts) = message.strip_prefix("Processing file ") {
            let (current, total) = counts.split_once('/').expect("two counts");
            let [current, total] = [current, total].map(|count| count.parse::<u64>().expect("a count"));
            assert!(current <= total && total <= u64::from(MANY) && percent == current * 100 / total, "{told}");
            assert_eq!(told["status"], "running");
        }
        seen.push(percent);
    }
    assert!(seen.is_sorted() && seen.iter().any(|percent| (1..100).contains(percent)), "{seen:?}");
    times.sort();
    idle.sort();
    println!("{} answers during a scan: p99 {:?}", times.len(), percentile(&times, 99));
    let limit = allowed(Duration::from_millis(50), percentile(&idle, 99));
    assert!(percentile(&times, 99) < limit, "p99 {:?}, and {limit:?} is allowed", percentile(&times, 99));
}

#[test]
fn a_scan_outlives_the_server_and_a_later_one_reads_only_what_changed() {
    let (place, corpus) = (Place::new(), waves::long_corpus(MANY));
    let server = serve(&place);
    let path = scan(&server, corpus.path());
    at_work(&server, &path);
    server.kill();
    let server = serve(&place);
    let told = status(&server, &path, "completed");
    assert_eq!(told["results"]["files"], json!(MANY), "none is left out or counted twice: {}", told["results"]);
    waves::add(corpus.path(), "new.wav");
    std::fs::remove_file(corpus.path().join("77.wav")).expect("it is there");
    let told = status(&server, &scan(&server, corpus.path()), "completed");
    let found = &told["results"];
    assert_eq!((&found["files"], &found["reused"]), (&json!(MANY), &json!(MANY - 1)), "{found}");
    assert_eq!(found["removed"]["listed"], json!(["77.wav"]), "{found}");
}

#[test]
fn a_scan_is_stopped_within_a_second_and_what_it_found_is_kept() {
    let (place, corpus) = (Place::new(), waves::long_corpus(MANY));
    let server = serve(&place);
    let path = scan(&server, corpus.path());
    at_work(&server, &path);
    let asked = now();
    assert_eq!(post(server.address, &path.replace("scan-status", "scan-cancel"), "").status, 200);
    status(&server, &path, "cancelled");
    assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
    let log = server.get(&format!("/v1/jobs/{}/events?limit=1000", job_of(&path))).json();
    let found = log["events"].as_array().expect("events").iter().find(|event| event["type"] == "output");
    assert_eq!(found.expect("what it found")["data"]["output"]["is_partial"], true);
}

#[test]
fn a_directory_that_vanishes_fails_the_scan_and_says_so() {
    let (place, corpus) = (Place::new(), waves::long_corpus(MANY));
    let server = serve(&place);
    let path = scan(&server, corpus.path());
    at_work(&server, &path);
    corpus.close().expect("it can be removed");
    let told = status(&server, &path, "failed");
    assert!(told["message"].as_str().is_some_and(|why| why.contains("disappeared during the scan")), "{told}");
    assert_eq!(told["results"], Value::Null);
}

#[test]
fn two_scans_of_one_directory_at_once_both_come_to_a_result() {
    let (place, corpus) = (Place::new(), waves::long_corpus(MANY));
    let server = serve(&place);
    let [first, second] = [scan(&server, corpus.path()), scan(&server, corpus.path())];
    assert_ne!(first, second);
    let [first, second] = [first, second].map(|path| status(&server, &path, "completed")["results"]["files"].clone());
    assert_eq!((first, second), (json!(MANY), json!(MANY)));
}

/// The id of the job that a status page is about.
fn job_of(path: &str) -> String {
    format!("job_{}", path.rsplit('/').next().expect("a task").replace('-', ""))
}

#[test]
fn what_cannot_be_scanned_is_refused_before_there_is_a_task() {
    let (place, corpus) = (Place::new(), waves::corpus(1));
    let server = serve(&place);
    let inside = |name: &str| corpus.path().join(name).to_str().expect("a plain path").to_owned();
    std::os::unix::fs::symlink("/etc", inside("out")).expect("a link");
    for (path, status, detail) in [
        (json!("/tmp/there/is/nothing/here"), 400, "Path not found"),
        (json!(inside("0.wav")), 400, "Path is not a directory"),
        (json!(inside("../../etc")), 403, "Path is outside of the directories that may be scanned"),
        (json!(inside("out")), 403, "Path is outside of the directories that may be scanned"),
        // Whether it is there or not is told the same way, where nothing may be scanned.
        (json!("/etc"), 403, "Path is outside of the directories that may be scanned"),
        (json!("/nothing/here"), 403, "Path is outside of the directories that may be scanned"),
        (json!("relative"), 422, "Path is malformed: it is not absolute"),
        (json!("/tmp/a\u{0}b"), 422, "Path is malformed: it contains a NUL byte"),
        (json!(format!("/tmp/{}", "x".repeat(300))), 422, "Path is malformed: one of its names is too long"),
        (json!(format!("/tmp/{}", "x/".repeat(2_500))), 422, "libritts_path: it should have from 1 to 4096 characters"),
        (json!(""), 422, "libritts_path: it should have from 1 to 4096 characters"),
        (json!(7), 422, "libritts_path: it should be text"),
        (Value::Null, 422, "libritts_path: it should be text"),
    ] {
        let reply = post(server.address, ROUTE, &json!({ "libritts_path": path }).to_string());
        assert_eq!(reply.status, status, "{path}: {reply:?}");
        let told = reply.json();
        assert!(told["detail"].as_str().is_some_and(|told| told.starts_with(detail)), "{path}: {told}");
        assert_eq!(told.as_object().map(serde_json::Map::len), Some(1), "as FastAPI has it: {told}");
    }
    let reply = ask(&server, PathBuf::from("/tmp/there/is/nothing/here"));
    assert_eq!(reply.body, r#"{"detail":"Path not found"}"#, "byte for byte");
    assert_eq!(post(server.address, ROUTE, "{").status, 400);
    assert_eq!(post(server.address, ROUTE, "{}").body, r#"{"detail":"libritts_path: it is missing"}"#);
    for task in ["7", "01a20e7e-601b-7000-99d0-daec30ab32c5", "job_01a20e7e601b700099d0daec30ab32c5"] {
        let reply = server.get(&format!("/api/voice-library/scan-status/{task}"));
        assert_eq!((reply.status, reply.body.as_str()), (404, r#"{"detail":"Task not found"}"#));
    }
    assert_eq!(server.get("/v1/jobs").json()["jobs"], json!([]));
}
