//! Providers that fail, refuse, hang and lie: the person is told, nothing stays processing, and it can be said again.

use std::time::Duration;

use serde_json::{Value, json};

use super::Home;
use crate::proof::within;

/// The turn has failed for this reason, wherever that is read.
fn check_told(home: &Home, turn: &Value, reason: &str) {
    let told = home.ended(turn);
    let message = told["message"].as_str().unwrap();
    assert!(message.contains(reason), "{reason:?}: {told}");
    assert_eq!((&told["type"], &told["image_url"]), (&Value::Null, &Value::Null), "{told}");
    let talk = home.conversation(turn);
    let last = talk["messages"].as_array().unwrap().last().unwrap();
    assert_eq!((&talk["processing"], &last["content"]), (&json!(false), &json!(message)), "{talk}");
}

#[test]
fn what_a_provider_will_not_do_is_told_and_can_be_said_again() {
    let home = Home::new();
    let fal = |fault: Value| json!({ "fault": fault, "dialect": "fal", "calls": 1 });
    let picture =
        |kind: &str| json!({ "fault": { "kind": kind }, "model": "pictures", "on": "poll", "skip": 1, "calls": 1 });
    for (rule, reason, paid) in [
        (fal(json!({ "kind": "fails", "status": 422 })), "flagged by a content checker", (1, 1)),
        (fal(json!({ "kind": "content_policy" })), "rejected", (1, 0)),
        (fal(json!({ "kind": "flagged" })), "the picture was held back", (1, 1)),
        (json!({ "fault": { "kind": "content_policy" }, "dialect": "anthropic", "calls": 1 }), "rejected", (0, 0)),
        (picture("web_page"), "text/html", (1, 1)),
        (picture("oversized"), "20000000 bytes", (1, 1)),
        (picture("redirected"), "redirected where none is followed", (1, 1)),
    ] {
        let before = home.paid();
        home.fault(&rule);
        let turn = home.ask();
        check_told(&home, &turn, reason);
        assert_eq!(home.paid(), (before.0 + paid.0, before.1 + paid.1), "{reason}");
        // Said again in the same conversation, it works.
        let again = json!({ "message": super::TRANSFORM, "image_url": home.picture(), "conversation_id": turn["conversation_id"] });
        let again = home.say(&again);
        assert_eq!(home.ended(&again)["type"], "design_generation", "after {reason}");
        assert_eq!(home.conversation(&again)["messages"].as_array().map(Vec::len), Some(4));
    }
}

#[test]
fn what_passes_is_waited_for_and_the_picture_is_not_made_again() {
    let home = Home::new();
    let busy = json!({ "kind": "unavailable", "retry_after": "seconds", "wait_ms": 1000 });
    for rule in [
        json!({ "fault": busy, "model": "pictures", "on": "poll", "skip": 1, "calls": 1 }),
        json!({ "fault": busy, "dialect": "anthropic", "calls": 1 }),
        json!({ "fault": { "kind": "rate_limited", "retry_after": "seconds", "wait_ms": 1000 }, "dialect": "fal", "calls": 1 }),
    ] {
        let before = home.paid();
        home.fault(&rule);
        assert_eq!(home.ended(&home.ask())["type"], "design_generation", "{rule}");
        assert_eq!(home.paid(), (before.0 + 1, before.1 + 1), "{rule}");
    }
}

#[test]
fn a_request_that_is_never_started_is_given_up_and_told() {
    let home = Home::new();
    home.fault(&json!({ "fault": { "kind": "fails", "status": 504 }, "dialect": "fal" }));
    check_told(&home, &home.ask(), "not started in time");
}

const STUCK: &str = r#"{"behaviour": {"call_ms": {"constant": 50}, "queue_ms": {"constant": 3600000}}}"#;

#[test]
fn a_queue_that_is_stuck_is_left_and_told_to_stop() {
    let home = Home::with(STUCK, "", |recipe| recipe);
    // The folder's own configuration says ten minutes; here it is as short as it can be.
    let config = std::fs::read_to_string(home.place.path().join("raincheck.toml")).unwrap();
    home.place.file("raincheck.toml", &config.replace("total_timeout = \"10m\"", "total_timeout = \"1s\""));
    let home = home.killed();
    let turn = home.ask();
    check_told(&home, &turn, "took longer than the 1 s that it may, and was told to stop");
    check_stopped(&home);
}

#[test]
fn whatever_happens_no_turn_outlives_its_deadline() {
    let home = Home::with(STUCK, "", |recipe| recipe.replace("deadline = \"15m\"", "deadline = \"2s\""));
    check_told(&home, &home.ask(), "That took too long, and was given up. Say it again.");
    check_stopped(&home);
}

#[test]
fn a_step_that_has_its_own_deadline_is_given_up_at_it() {
    let home =
        Home::with(STUCK, "", |recipe| recipe.replace("[steps.draw.input]", "deadline = \"1s\"\n[steps.draw.input]"));
    check_told(&home, &home.ask(), "step `draw`: it took longer than");
    check_stopped(&home);
}

/// FAL was asked once, and told to stop.
fn check_stopped(home: &Home) {
    within(Duration::from_secs(10), "FAL is told to stop", || {
        (home.simulator.get("/sim/ledger").json()["total"]["cancelled"] == 1).then_some(())
    });
    assert_eq!(home.paid(), (1, 1));
}
