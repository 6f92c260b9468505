//! Promise: a call under way when the server dies is found again where the provider allows it, and made again otherwise, or not at
//! all, as was wished.

use std::time::Duration;

use serde_json::Value;

use super::job;
use super::provider::Stage;
use super::trial::within;

const RESPONSE: &str = r#"{"kind": "llm.response", "input": {"model": "gpt-5", "input": "Score this."}}"#;

#[test]
fn a_call_of_a_killed_server_is_found_again_and_paid_for_once() {
    let mut stage = Stage::new(2_000.0, "native_background = true");
    let id = stage.submit(RESPONSE);
    stage.die_in_mid_call(&id);
    let job = job::check_ended(&mut stage.server.http(), &id);
    assert_eq!((&job["state"], job["attempt"].as_u64()), (&Value::from("completed"), Some(2)), "{job}");
    assert_eq!(stage.executions(), 1, "{:?}", stage.simulator.ledger());
}

/// Whoever follows it is told the text once, as if nothing had happened.
#[test]
fn a_text_that_grew_when_the_server_was_killed_goes_on_where_it_was() {
    let mut stage = Stage::new(4_000.0, "native_background = true");
    let body = r#"{"model": "gpt-5", "input": "Score this.", "background": true}"#;
    let begun = stage.server.http().request("POST", "/openai/v1/responses", &[], body).expect("an answer").json();
    let id = begun["id"].as_str().expect("an id").to_owned();
    let job = id.replace("resp_", "job_");
    for _ in 0..2 {
        let said =
            || job::log(&mut stage.server.http(), &job).iter().filter(|event| job::kind_of(event) == "output").count();
        let before = said();
        within(Duration::from_secs(10), "more of the text", || (said() >= before + 5).then_some(()));
        stage.server.kill();
        stage.server.start_again();
    }
    let ended = job::check_ended(&mut stage.server.http(), &job);
    assert_eq!((&ended["state"], ended["attempt"].as_u64()), (&Value::from("completed"), Some(3)), "{ended}");
    let whole = ended["result"]["output"][0]["content"][0]["text"].as_str().expect("a text");
    let log = job::log(&mut stage.server.http(), &job);
    let events = log.iter().filter(|event| job::kind_of(event) == "output").map(|event| event["data"].clone());
    assert_eq!(text(events), whole);
    let told = stage.server.http().get(&format!("/openai/v1/responses/{id}?stream=true")).expect("an answer");
    let told = String::from_utf8(told.body).expect("it is text");
    let events = told.lines().filter_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok());
    assert_eq!(text(events), whole, "{told}");
    assert_eq!(told.matches("\nevent: response.output_item.done").count(), 1, "{told}");
    assert_eq!(stage.executions(), 1, "{:?}", stage.simulator.ledger());
}

/// The pieces of text in events of OpenAI's.
fn text(events: impl Iterator<Item = Value>) -> String {
    let deltas = events.filter(|event| event["type"] == "response.output_text.delta");
    deltas.filter_map(|event| event["delta"].as_str().map(str::to_owned)).collect()
}

#[test]
fn without_a_way_to_find_it_a_call_is_made_again_under_the_same_key() {
    let mut stage = Stage::new(2_000.0, "");
    let id = stage.submit(RESPONSE);
    stage.die_in_mid_call(&id);
    let job = job::check_ended(&mut stage.server.http(), &id);
    assert_eq!((&job["state"], stage.executions()), (&Value::from("completed"), 2), "{job}");
    let keys = stage.simulator.ledger().keys;
    assert_eq!(keys.keys().collect::<Vec<_>>(), [&id], "the provider can tell that it is the same call");
}

#[test]
fn or_it_is_not_made_again_if_that_was_wished() {
    let mut stage = Stage::new(2_000.0, "on_ambiguous = \"fail\"");
    let id = stage.submit(RESPONSE);
    stage.die_in_mid_call(&id);
    let job = job::check_ended(&mut stage.server.http(), &id);
    assert_eq!(job["error"]["type"], "urn:raincheck:problem:outcome-ambiguous", "{job}");
    assert_eq!(stage.executions(), 1);
}

/// Of several jobs under way, one after the other and at once, with kills in between: each ends, each is paid for once.
#[test]
fn many_calls_survive_many_deaths_and_are_paid_for_once() {
    let mut stage = Stage::new(1_500.0, "native_background = true\nconcurrency = 20");
    let ids: Vec<String> = (0..20).map(|_| stage.submit(RESPONSE)).collect();
    within(Duration::from_secs(10), "the provider is at work", || (stage.executions() == 20).then_some(()));
    std::thread::sleep(Duration::from_millis(300));
    for _ in 0..2 {
        stage.server.kill();
        stage.server.start_again();
    }
    for id in &ids {
        assert_eq!(job::check_ended(&mut stage.server.http(), id)["state"], "completed");
    }
    assert_eq!(stage.executions(), 20, "{:?}", stage.simulator.ledger());
}
