//! The voice library (rows F1-F4), as its front end calls it.

use std::path::Path;

use serde_json::json;

use crate::support::{Place, Server, post, waves};

const ROUTE: &str = "/api/voice-library/scan-libritts";

fn serve(place: &Place) -> Server {
    let recipe = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../recipes/voice-library");
    let config = recipe.join("raincheck.toml");
    let [recipe, config] = [recipe, config].map(|path| path.to_str().expect("a path").to_owned());
    Server::start(place, &["--config", &config, "--recipes", &recipe])
}

#[test]
fn a_path_that_is_not_there_is_answered_as_the_front_end_expects() {
    let place = Place::new();
    let server = serve(&place);
    let reply = post(server.address, ROUTE, r#"{"libritts_path": "/tmp/there/is/nothing/here"}"#);
    assert_eq!((reply.status, reply.body.as_str()), (400, r#"{"detail":"Path not found"}"#));
    let reply = server.get("/api/voice-library/scan-status/7");
    assert_eq!((reply.status, reply.body.as_str()), (404, r#"{"detail":"Task not found"}"#));
    assert_eq!(server.get("/v1/jobs").json()["jobs"], json!([]));
}

#[test]
fn a_corpus_is_looked_through_in_the_background() {
    let corpus = waves::corpus(20);
    let place = Place::new();
    let server = serve(&place);
    let reply = post(server.address, ROUTE, &json!({ "libritts_path": corpus.path() }).to_string());
    let accepted = reply.json();
    let task = accepted["task_id"].as_str().expect("a task").to_owned();
    assert_eq!((reply.status, &accepted["status"]), (202, &json!("accepted")));
    assert!(accepted["message"].as_str().unwrap().starts_with("Scan started in background"));
    assert_eq!((task.len(), task.matches('-').count()), (36, 4), "a UUID: {task}");
    let told = server.get(&format!("/api/voice-library/scan-status/{task}?wait=30")).json();
    assert_eq!(
        (&told["task_id"], &told["status"], &told["progress"]),
        (&json!(task), &json!("completed"), &json!(100))
    );
    assert_eq!((&told["results"]["files"], &told["results"]["ok"]), (&json!(21), &json!(20)), "{told}");
}
