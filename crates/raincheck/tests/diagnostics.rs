//! The diagnostics recipe (rows B1-B5): its own script against the real server, and what becomes of a diagnostic when things go
//! wrong on the way.

mod recipe;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::proof::within;
use crate::sdk::place_of;
use crate::support::{Ended, Place, Server, delete, post, request, run};

const RESPONSES: &str = "/openai/v1/responses";
const FILES: &str = "/openai/v1/files";
/// The transcripts of the recipe.
const CALLS: [&str; 5] = ["anna", "ben", "chloe", "dan", "emma"];
/// A model's twelve minutes pass in six seconds.
const TIME_SCALE: u64 = 120;

fn recipe(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../recipes/diagnostics").join(name)
}

fn text(name: &str) -> String {
    std::fs::read_to_string(recipe(name)).expect("the recipe's file can be read")
}

/// The recipe's server and its simulated provider.
struct Stage {
    place: Place,
    simulator: Server,
    config: String,
}

impl Stage {
    /// As the recipe has it, but for what `change` does to the simulator's configuration.
    fn new(change: impl FnOnce(&mut Value)) -> Self {
        let place = Place::new();
        let mut simulated: Value = serde_json::from_str(&text("simulator.json")).expect("JSON");
        change(&mut simulated);
        place.file("sim.json", &simulated.to_string());
        let simulator = Server::simulator(&place, &["--config", "sim.json"]);
        let config = text("raincheck.toml").replace("http://127.0.0.1:7247", &simulator.url());
        Self { place, simulator, config }
    }

    fn serve(&self) -> Server {
        Server::configured(&self.place, &self.config)
    }

    /// Runs the recipe's script.
    fn diagnose(&self, server: &Server) -> Ended {
        let mut script = Command::new(place_of("openai-3.57.0").join("bin/python"));
        script.arg(recipe("diagnose.py")).arg(recipe("rubric.md"));
        script.args(CALLS.map(|name| recipe(&format!("calls/{name}.txt"))));
        script.env("OPENAI_BASE_URL", format!("{}/openai/v1", server.url())).env("OPENAI_API_KEY", "none");
        run(script.env_remove("HTTP_PROXY").env_remove("HTTPS_PROXY").env_remove("DIAGNOSTICS_MODEL"))
    }

    fn total(&self, name: &str) -> u64 {
        self.simulator.get("/sim/ledger").json()["total"][name].as_u64().expect("a count")
    }
}

/// A file with a transcript, uploaded here; gives its id.
fn transcript(server: &Server) -> String {
    let form = "--X\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nuser_data\r\n--X\r\nContent-Disposition: \
                form-data; name=\"file\"; filename=\"call.txt\"\r\n\r\nAgent: Yes?\r\n--X--\r\n";
    let headers = [("Content-Type", "multipart/form-data; boundary=X")];
    let file = request(server.address, "POST", FILES, &headers, form).json();
    file["id"].as_str().unwrap_or_else(|| panic!("{file}")).to_owned()
}

/// What a diagnostic of a file asks for.
fn wish(file: &str, more: &Value) -> Value {
    let content = json!([{ "type": "input_text", "text": "Score it." }, { "type": "input_file", "file_id": file }]);
    let mut wish = json!({ "model": "scorer", "background": true, "input": [{ "role": "user", "content": content }] });
    wish.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    wish
}

/// Submits it; gives its Response's path and its job's id.
fn submit(server: &Server, wish: &Value) -> (String, String) {
    let reply = post(server.address, RESPONSES, &wish.to_string());
    assert_eq!(reply.status, 202, "{reply:?}");
    let id = reply.json()["id"].as_str().expect("an id").to_owned();
    (format!("{RESPONSES}/{id}"), id.replace("resp_", "job_"))
}

/// The number in a column of the script's table.
fn figure(out: &str, row: &str, column: usize) -> f64 {
    let line = out.lines().find(|line| line.starts_with(row)).unwrap_or_else(|| panic!("no {row:?} in {out}"));
    line[row.len()..].split_whitespace().nth(column).and_then(|text| text.parse().ok()).expect("a number")
}

#[test]
fn the_recipe_scores_all_calls_at_once_and_everything_else_answers_meanwhile() {
    let stage = Stage::new(|sim| sim["time_scale"] = json!(TIME_SCALE));
    let server = stage.serve();
    let ended = stage.diagnose(&server);
    println!("{}", ended.out);
    assert_eq!(ended.code, Some(0), "{}{}", ended.out, ended.err);
    for name in CALLS {
        let line = |line: &&str| line.starts_with(name) && !line.ends_with(" -");
        let score = ended.out.lines().find(line).and_then(|line| line.split_whitespace().nth(1)?.parse::<u32>().ok());
        assert!(score.is_some_and(|score| score <= 100), "{name}: {}", ended.out);
    }
    // Nobody waited for the provider, which took six seconds.
    for row in ["submit a diagnostic", "ask for its status", "list the tasks", "another endpoint"] {
        assert!(figure(&ended.out, row, 3) < 3_000.0, "{row}: {}", ended.out);
    }
    assert!(figure(&ended.out, "list the tasks", 0) >= 10.0, "{}", ended.out);
    let ledger = ["uploads", "executions", "completed", "under_way_peak"].map(|name| stage.total(name));
    assert_eq!(ledger, [6, 5, 5, 5], "the rubric and five transcripts once each, and five calls at once");
    // The next day's diagnostics find the files there.
    assert_eq!(stage.diagnose(&server).code, Some(0));
    assert_eq!((stage.total("uploads"), stage.total("executions")), (6, 10));
}

#[test]
fn a_score_that_there_is_not_is_never_a_success() {
    let stage = Stage::new(|sim| {
        sim["time_scale"] = json!(7_200);
        sim["faults"] = json!([
            { "fault": { "kind": "content_policy" }, "model": "scorer", "calls": 1 },
            { "fault": { "kind": "fails" }, "model": "scorer" },
        ]);
    });
    let server = stage.serve();
    let ended = stage.diagnose(&server);
    assert_eq!(ended.code, Some(1), "{}{}", ended.out, ended.err);
    let told = |what: &str| ended.out.lines().filter(|line| line.contains(&format!("  -  {what}"))).count();
    assert_eq!(told("failed: provider answered 400: Your request was rejected"), 1, "{}", ended.out);
    assert_eq!(told("failed: the upstream took the call and failed: The simulated work failed."), 4, "{}", ended.out);
    assert_eq!((stage.total("completed"), stage.total("failed")), (0, 4 * 3), "four were tried three times each");
    delete(stage.simulator.address, "/sim/faults");

    let (path, job) = submit(&server, &wish(&transcript(&server), &json!({ "max_output_tokens": 2 })));
    let job = server.ended(&job);
    assert_eq!(
        (&job["state"], &job["error"]["type"]),
        (&json!("failed"), &json!("urn:raincheck:problem:answer-incomplete"))
    );
    assert_eq!(job["error"]["upstream_error"]["incomplete_details"]["reason"], "max_output_tokens");
    let response = server.get(&path).json();
    assert_eq!((&response["status"], &response["error"]), (&json!("incomplete"), &Value::Null), "{response}");
}

#[test]
fn a_diagnostic_of_no_file_is_refused_before_it_exists() {
    let stage = Stage::new(|_| {});
    let server = stage.serve();
    let nobodys = "file-000001a20d5e7a0c5b0ad12563f27f30";
    for background in [true, false] {
        let wish = wish(nobodys, &json!({ "background": background }));
        let reply = post(server.address, RESPONSES, &wish.to_string());
        assert_eq!(reply.status, 400, "{reply:?}");
        let error = reply.json()["error"].clone();
        assert_eq!(error["param"], "input[0].content[1].file_id", "{error}");
        assert!(
            error["message"].as_str().expect("words").starts_with(&format!("there is no file {nobodys}")),
            "{error}"
        );
    }
    assert_eq!(server.get("/v1/jobs").json()["jobs"], json!([]));
}

/// Kills the server when a diagnostic has come to a stage, starts it again and waits for the end.
fn dies_at(stage: &Stage, is_there: impl Fn(&Server, &str) -> bool) -> Value {
    let server = stage.serve();
    let (path, job) = submit(&server, &wish(&transcript(&server), &json!({})));
    within(Duration::from_secs(20), "the diagnostic is there", || is_there(&server, &job).then_some(()));
    server.kill();
    let server = stage.serve();
    let ended = server.ended(&job);
    assert_eq!(server.get(&path).json()["status"], "completed", "{ended}");
    assert_eq!((stage.total("uploads"), stage.total("executions")), (1, 1), "{ended}");
    ended
}

/// A call of two seconds.
fn shortly(sim: &mut Value) {
    sim["overrides"] = json!([{ "model": "scorer", "behaviour": { "call_ms": { "constant": 2_000 } } }]);
}

#[test]
fn a_server_that_dies_while_it_uploads_uploads_again() {
    let stage = Stage::new(|sim| {
        shortly(sim);
        sim["behaviour"]["upload_ms"] = json!({ "constant": 2_000 });
    });
    dies_at(&stage, |server, job| {
        let requests = stage.simulator.get("/sim/requests").json();
        let comes = requests["requests"].as_array().expect("requests").iter().any(|request| request["path"] == FILES);
        comes
            && server.job(job)["progress"]["message"]
                .as_str()
                .is_some_and(|said| said.starts_with("Uploading call.txt"))
    });
}

#[test]
fn a_server_that_dies_between_upload_and_call_does_not_upload_again() {
    let stage = Stage::new(|sim| {
        shortly(sim);
        sim["faults"] = json!([{ "fault": { "kind": "hang" }, "model": "scorer", "calls": 1 }]);
    });
    let job = dies_at(&stage, |_, _| {
        let requests = stage.simulator.get("/sim/requests").json();
        requests["requests"].as_array().expect("requests").iter().any(|request| request["path"] == RESPONSES)
    });
    assert_eq!(job["attempt"], 2);
}

#[test]
fn a_server_that_dies_while_the_provider_works_finds_the_call_again() {
    let stage = Stage::new(shortly);
    let job = dies_at(&stage, |server, job| {
        let steps = server.job(job)["steps"].clone();
        steps.as_array().expect("steps").iter().any(|step| step["name"] == "started at provider")
    });
    assert_eq!(job["attempt"], 2);
}
