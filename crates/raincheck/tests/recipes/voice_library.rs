//! The voice library (rows F1-F4), as its front end calls it.

use std::path::Path;

use serde_json::json;

use crate::support::{Place, Server, post};

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
    let corpus = tempfile::TempDir::with_prefix_in("raincheck-corpus-", "/tmp").expect("a directory");
    for number in 0..20 {
        let name = corpus.path().join(format!("{number}.wav"));
        std::fs::write(name, wave(number)).expect("a file");
    }
    std::fs::write(corpus.path().join("broken.wav"), "RIFF").expect("a file");
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

/// A tenth of a second of PCM.
fn wave(number: u16) -> Vec<u8> {
    let samples: Vec<u8> = (0..1_600_u16).flat_map(|at| (at.wrapping_mul(number) % 5_000).to_le_bytes()).collect();
    let size = u32::try_from(samples.len()).expect("small");
    let mut wave = b"RIFF".to_vec();
    wave.extend((36 + size).to_le_bytes());
    wave.extend(b"WAVEfmt ");
    wave.extend(16_u32.to_le_bytes());
    wave.extend([1, 0, 1, 0]);
    wave.extend(16_000_u32.to_le_bytes());
    wave.extend(32_000_u32.to_le_bytes());
    wave.extend([2, 0, 16, 0]);
    wave.extend(b"data");
    wave.extend(size.to_le_bytes());
    wave.extend(samples);
    wave
}
