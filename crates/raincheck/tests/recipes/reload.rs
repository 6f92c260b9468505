use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;

use super::{ECHO, Kitchen};
use crate::proof::within;
use crate::support::Server;

const SLOW: &str = r#"
name = "slow"
[route]
post = "/api/slow"
[steps.wait]
kind = "sleep"
input = { seconds = 3 }
[steps.say]
kind = "echo"
input = "first"
[accepted]
body = { id = "{{ job.id }}" }
[status]
get = "/api/slow/{id}"
body = { state = "{{ job.state }}", result = "{{ job.result }}" }
"#;

#[test]
fn recipes_are_read_anew_and_jobs_keep_the_version_that_they_began_with() {
    let kitchen = Kitchen::new(&[("slow", SLOW)]);
    let first = kitchen.post("/api/slow", "");
    kitchen
        .place
        .file("recipes/slow.toml", &SLOW.replace("\"first\"", "\"second\"").replace("seconds = 3", "seconds = 0.01"));
    kitchen.place.file("recipes/echo.toml", ECHO);
    kitchen.server.signal(Signal::HUP);
    within(Duration::from_secs(10), "the new recipe is served", || {
        (kitchen.post("/api/echo/ada", r#"{"text": "a"}"#).status == 202).then_some(())
    });
    let second = kitchen.post("/api/slow", "");
    assert_eq!(kitchen.ended("/api/slow", &second)["result"], "second");
    assert_eq!(kitchen.ended("/api/slow", &first)["result"], "first");
    // Of recipes of which one is wrong, none is put into force.
    kitchen.place.file("recipes/slow.toml", &SLOW.replace("\"first\"", "\"third\""));
    kitchen.place.file("recipes/echo.toml", &ECHO.replace("kind = \"echo\"", "kind = \"ehco\""));
    kitchen.server.signal(Signal::HUP);
    let log = || std::fs::read_to_string(kitchen.place.log()).unwrap();
    within(Duration::from_secs(10), "the mistake is told", || log().contains("did you mean \"echo\"?").then_some(()));
    let third = kitchen.post("/api/slow", "");
    assert_eq!(kitchen.ended("/api/slow", &third)["result"], "second");
}

#[test]
fn a_job_goes_on_with_its_version_after_a_restart() {
    let kitchen = Kitchen::new(&[("slow", SLOW)]);
    let first = kitchen.post("/api/slow", "");
    let id = first.json()["id"].as_str().unwrap().to_owned();
    kitchen.server.running(&id);
    let Kitchen { place, server } = kitchen;
    server.kill();
    place.file("recipes/slow.toml", &SLOW.replace("\"first\"", "\"second\""));
    let server = Server::start(&place, &["--recipes", "recipes"]);
    assert_eq!(
        server.get(&format!("/api/slow/{id}?wait=30")).json(),
        json!({ "state": "completed", "result": "first" })
    );
}
