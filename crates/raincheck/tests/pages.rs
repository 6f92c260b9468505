//! The recipes' pages in a browser: headless Chromium, driven by the scripts beside this file. `cargo xtask test` installs both
//! Chromium and what drives it. How the pages look is written to target/pages.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::sdk::{drive, place_of};
use crate::support::{Place, Server, waves};

/// A recipe's folder, served as its README says, and a simulator where it has its provider.
struct Served {
    place: Place,
    server: Server,
    _simulator: Server,
}

impl Served {
    fn new(folder: &str, simulated: &Value) -> Self {
        let place = Place::new();
        place.file("sim.json", &simulated.to_string());
        let simulator = Server::simulator(&place, &["--config", "sim.json"]);
        copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../recipes").join(folder), &place.path().join(folder));
        let path = format!("{folder}/raincheck.toml");
        let config = fs::read_to_string(place.path().join(&path)).expect("the folder has a configuration");
        place.file(&path, &config.replace("http://127.0.0.1:7247", &simulator.url()));
        let server = Server::start(&place, &["--config", &path, "--recipes", folder]);
        Self { place, server, _simulator: simulator }
    }

    /// Runs a script of the browser's to its good end.
    fn browse(&self, script: &str, more: &[(&str, &Path)]) {
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pages");
        let mut node = Command::new("node");
        node.arg(scripts.join(script)).env("NODE_PATH", place_of("playwright-core-1.65.1").join("node_modules"));
        node.env("SERVER", self.server.url()).env("PICTURES", pictures()).envs(more.iter().copied());
        drive(&mut node, &self.place);
    }
}

fn pictures() -> PathBuf {
    let pictures = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("pages");
    fs::create_dir_all(&pictures).expect("a folder");
    pictures
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry").path();
        let copied = to.join(entry.file_name().expect("a name"));
        if entry.is_dir() {
            copy(&entry, &copied);
        } else {
            fs::copy(&entry, &copied).expect("a file");
        }
    }
}

#[test]
fn course() {
    let behaviour = json!({
        "first_token_ms": { "constant": 700 },
        "per_token_ms": { "constant": 60 },
        "output_tokens": { "constant": 80 },
    });
    Served::new("course", &json!({ "behaviour": behaviour })).browse("course.cjs", &[]);
}

#[test]
fn diagnostics() {
    let overrides = json!([{ "model": "scorer", "behaviour": { "call_ms": { "constant": 6_000 } } }]);
    Served::new("diagnostics", &json!({ "overrides": overrides })).browse("diagnostics.cjs", &[]);
}

#[test]
fn voice_library() {
    let corpus = waves::corpus(20);
    Served::new("voice-library", &json!({})).browse("voice_library.cjs", &[("CORPUS", corpus.path())]);
}

#[test]
fn home_design() {
    let claude = json!({ "dialect": "anthropic", "behaviour": { "call_ms": { "constant": 500 } } });
    let queue = json!({ "queue_ms": { "constant": 2_000 }, "call_ms": { "constant": 2_000 } });
    let simulated = json!({ "overrides": [claude, { "dialect": "fal", "behaviour": queue }] });
    Served::new("home-design", &simulated).browse("home_design.cjs", &[]);
}
