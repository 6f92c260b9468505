//! The recipe itself (rows D1-D14 of a diagnostic): a file and a rubric, posted as any front end would. Which row is shown where,
//! and which is not, stands in the recipe's README.

mod crash;
mod meanwhile;
mod provider;
mod refused;
mod scores;
mod told;

use std::time::Duration;

use serde_json::{Value, json};

use super::Stage;
use crate::proof::within;
use crate::support::{Reply, Server, request};

/// A model's twelve minutes pass in a second and a half.
const QUICK: u64 = 480;
const RUBRIC: &str = "100 for a friendly end, else 0";

/// The recipe's server.
fn serve(stage: &Stage) -> Server {
    serve_changed(stage, |recipe| recipe)
}

/// The same; `change` is made to the text of the recipe.
fn serve_changed(stage: &Stage, change: impl FnOnce(String) -> String) -> Server {
    std::fs::create_dir_all(stage.place.path().join("diagnostics")).expect("a folder");
    stage.place.file("diagnostics/diagnostic.toml", &change(super::text("diagnostic.toml")));
    stage.place.file("raincheck.toml", &stage.config);
    Server::start(&stage.place, &["--config", "raincheck.toml", "--recipes", "diagnostics"])
}

fn scaled(scale: u64) -> impl FnOnce(&mut Value) {
    move |simulated| simulated["time_scale"] = json!(scale)
}

/// A form with these parts, of which `file` is a file.
fn form(parts: &[(&str, &str)]) -> String {
    let part = |(name, text): &(&str, &str)| {
        let filename = if *name == "file" { "; filename=\"call.txt\"" } else { "" };
        format!("--X\r\nContent-Disposition: form-data; name=\"{name}\"{filename}\r\n\r\n{text}\r\n")
    };
    parts.iter().map(part).collect::<String>() + "--X--\r\n"
}

fn send(server: &Server, parts: &[(&str, &str)], headers: &[(&str, &str)]) -> Reply {
    let headers = [&[("Content-Type", "multipart/form-data; boundary=X")], headers].concat();
    request(server.address, "POST", "/api/diagnostics", &headers, &form(parts))
}

/// Submits a diagnostic of this text; gives the path of its status.
fn submit(server: &Server, text: &str) -> String {
    let reply = send(server, &[("file", text), ("rubric", RUBRIC)], &[]);
    assert_eq!(reply.status, 202, "{reply:?}");
    reply.headers["location"].clone()
}

/// The id of the job whose status is at this path.
fn job_at(path: &str) -> &str {
    path.rsplit('/').next().expect("an id")
}

/// What its status says when it has ended.
fn ended(server: &Server, path: &str) -> Value {
    within(Duration::from_secs(60), "the diagnostic ends", || {
        let told = server.get(&format!("{path}?wait=20")).json();
        (!["queued", "running", "waiting"].contains(&told["status"].as_str().unwrap_or("?"))).then_some(told)
    })
}

/// Waits until its log has a step of this name, or one that begins so.
fn recorded(server: &Server, path: &str, name: &str) {
    within(Duration::from_secs(20), name, || {
        let log = server.get(&format!("/v1/jobs/{}/events?limit=1000", job_at(path))).json();
        let steps = log["events"].as_array().expect("events").iter().filter(|event| event["type"] == "step");
        steps.filter_map(|step| step["data"]["name"].as_str()).any(|step| step.starts_with(name)).then_some(())
    });
}

/// Waits until its status says that this is being done.
fn says(server: &Server, path: &str, message: &str) {
    within(Duration::from_secs(20), message, || {
        let told = server.get(path).json();
        told["message"].as_str().is_some_and(|said| said.starts_with(message)).then_some(())
    });
}
