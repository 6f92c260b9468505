//! The server is killed (SIGKILL) behind every step, and by the providers' own account nothing is made twice.

use std::time::Duration;

use super::{Home, job};
use crate::proof::within;
use crate::recipes::crash::is_recorded;

/// Everything that is recorded on the way to a picture, in order.
const RECORDS: [&str; 7] = ["bring", "room", "decide", "decision", "draw/started at fal", "draw", "keep"];

#[test]
fn killed_behind_every_step_a_picture_is_paid_for_once() {
    let mut home = Home::with(r#"{"behaviour": {"call_ms": {"constant": 300}}}"#, "", |recipe| recipe);
    for recorded in RECORDS {
        let turn = home.ask();
        within(Duration::from_secs(20), recorded, || is_recorded(&home.server, job(&turn), recorded).then_some(()));
        home = home.killed();
        let told = home.ended(&turn);
        let ledger = home.simulator.get("/sim/ledger").json();
        let calls = |step: &str| ledger["keys"][format!("{}/{step}", job(&turn))]["executions"].as_u64().unwrap_or(0);
        // A call of Claude that had just been sent is made again: nobody knows what came of it, and it costs little.
        let most = if RECORDS[..2].contains(&recorded) { 2 } else { 1 };
        assert!((1..=most).contains(&calls("decide")), "killed behind {recorded}: {ledger}");
        // A picture never is. Where the server died in the moment in which it asked for it, the person is told.
        let is_told = told["message"].as_str().unwrap().contains("look there whether it was done");
        assert!(calls("draw") == 1 || is_told && calls("draw") == 0, "killed behind {recorded}: {told} {ledger}");
        assert!(told["image_url"].is_string() != is_told, "killed behind {recorded}: {told}");
        assert_eq!(home.conversation(&turn)["processing"], false);
    }
}

#[test]
fn killed_in_the_moment_of_asking_for_a_picture_it_is_not_asked_for_again() {
    let home = Home::with(r#"{"behaviour": {"call_ms": {"constant": 50}}}"#, "", |recipe| recipe);
    // FAL takes the request, and its answer is lost.
    home.fault(&serde_json::json!({ "fault": { "kind": "lost_answer" }, "dialect": "fal" }));
    let turn = home.ask();
    let told = home.ended(&turn);
    assert!(told["message"].as_str().unwrap().starts_with("That did not work: step `draw`: "), "{told}");
    assert_eq!((home.paid(), &home.conversation(&turn)["processing"]), ((1, 1), &false.into()));
}
