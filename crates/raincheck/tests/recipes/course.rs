//! The course platform: the recipes of `recipes/course` as they lie there, on a server whose provider is the simulator, as the
//! platform's front end calls them.

mod answers;
mod crash;
mod crowd;
mod outage;
mod refused;
mod stream;
mod summaries;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::{Place, Server, delete, post};

/// Where a question of a learner goes.
const QUERY: &str = "/api/assistant/query";
/// One that the material answers.
const QUESTION: &str = "What is a foreign key?";

/// A course platform whose provider is the simulator.
struct Platform {
    place: Place,
    simulator: Server,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../recipes/course").canonicalize().expect("the recipes")
}

impl Platform {
    /// With a simulator of this configuration.
    fn new(simulator: &Value) -> Self {
        Self::changed(simulator, "", &[])
    }

    /// With other settings before those of the recipes' own configuration, and with words of the recipes replaced: a test has no
    /// time for their deadlines.
    fn changed(simulator: &Value, settings: &str, words: &[(&str, &str)]) -> Self {
        let place = Place::new();
        place.file("sim.json", &simulator.to_string());
        let simulator = Server::simulator(&place, &["--config", "sim.json"]);
        fs::create_dir_all(place.path().join("course/page")).expect("a folder");
        let mut replaced = 0;
        for entry in fs::read_dir(folder()).expect("the recipes").map(|entry| entry.expect("an entry").path()) {
            let Some(name) = entry.file_name().and_then(|name| name.to_str()).filter(|name| name.ends_with(".toml"))
            else {
                continue;
            };
            let text = fs::read_to_string(&entry).expect("a recipe");
            if name == "raincheck.toml" {
                let folder = folder().display().to_string();
                let text = text.replace("http://127.0.0.1:7247", &simulator.url());
                let text = text.replace("path = \"", &format!("path = \"{folder}/"));
                place.file(name, &format!("{settings}\n{text}"));
            } else {
                replaced += words.iter().filter(|(from, _)| text.contains(from)).count();
                let text = words.iter().fold(text, |text, (from, to)| text.replace(from, to));
                place.file(&format!("course/{name}"), &text);
            }
        }
        assert_eq!(replaced, words.len(), "each is there once");
        for name in ["index.html", "page.js"] {
            let name = format!("page/{name}");
            fs::copy(folder().join(&name), place.path().join("course").join(&name)).expect("a page");
        }
        Self { place, simulator }
    }

    fn serve(&self) -> Server {
        Server::start(&self.place, &["--config", "raincheck.toml", "--recipes", "course"])
    }

    fn ledger(&self) -> Value {
        self.simulator.get("/sim/ledger").json()
    }

    /// How often the provider began to work.
    fn calls(&self) -> u64 {
        self.ledger()["total"]["executions"].as_u64().expect("a number")
    }

    /// How often it did for a step of a job.
    fn calls_of(&self, job: &str, step: &str) -> u64 {
        self.ledger()["keys"][format!("{job}/{step}")]["executions"].as_u64().unwrap_or(0)
    }

    /// From now on calls go wrong as these rules say.
    fn faults(&self, rules: &Value) {
        let reply = post(self.simulator.address, "/sim/faults", &json!({ "rules": rules }).to_string());
        assert_eq!(reply.status, 200, "{reply:?}");
    }

    /// From now on nothing goes wrong.
    fn healed(&self) {
        assert_eq!(delete(self.simulator.address, "/sim/faults").status, 204);
    }
}

/// Calls take so many milliseconds.
fn constant(call_ms: u64) -> Value {
    json!({ "behaviour": { "call_ms": { "constant": call_ms } } })
}

/// What was asked.
#[derive(Clone, Debug)]
struct Asked {
    job: String,
    conversation: String,
}

fn ask(server: &Server, question: &str, conversation: Option<&str>) -> Asked {
    let reply =
        post(server.address, QUERY, &json!({ "question": question, "conversationId": conversation }).to_string());
    assert_eq!(reply.status, 202, "{reply:?}");
    let told = |name: &str| reply.json()[name].as_str().expect("a name").to_owned();
    Asked { job: told("jobId"), conversation: told("conversationId") }
}

/// What the status page of a question says when it has ended.
fn answer(server: &Server, asked: &Asked) -> Value {
    ended(server, &format!("/api/assistant/jobs/{}", asked.job))
}

/// What a status page says when the job has ended.
fn ended(server: &Server, page: &str) -> Value {
    let told = server.get(&format!("{page}?wait=60")).json();
    assert!(!["pending", "thinking"].contains(&told["status"].as_str().expect("a status")), "not ended: {told}");
    told
}

/// All jobs of a recipe, newest first.
fn jobs(server: &Server, recipe: &str) -> Vec<Value> {
    let list = server.get(&format!("/v1/jobs?label=recipe:{recipe}&limit=1000")).json();
    list["jobs"].as_array().expect("jobs").clone()
}
