use std::time::Duration;

use serde_json::json;

use super::super::crash::is_recorded;
use super::{Platform, QUESTION, answer, ask, constant, ended};
use crate::proof::within;
use crate::support::post;

/// The assistant is killed (SIGKILL) behind everything that it records of a further question, and finishes it after the restart;
/// by the provider's own account no call of a recorded step was made again.
#[test]
fn killed_behind_every_step_the_assistant_goes_on_and_pays_for_none_again() {
    let platform = Platform::new(&constant(150));
    let calls = ["rewrite", "answer"];
    for recorded in ["rewrite/began", "rewrite", "retrieve/began", "retrieve", "answer/began", "answer"] {
        let server = platform.serve();
        let first = ask(&server, QUESTION, None);
        answer(&server, &first);
        let asked = ask(&server, "And why is it checked?", Some(&first.conversation));
        within(Duration::from_secs(20), recorded, || is_recorded(&server, &asked.job, recorded).then_some(()));
        server.kill();
        let server = platform.serve();
        let told = answer(&server, &asked);
        assert_eq!(told["status"], "completed", "killed behind {recorded}: {told}");
        assert_eq!(told["result"]["degraded"], false, "killed behind {recorded}: {told}");
        let made = calls.map(|step| platform.calls_of(&asked.job, step));
        // What was under way at the time may have been done, and nobody knows; what is recorded is not done again. A rewriting
        // whose two seconds passed while the server was dead is not made up for.
        let (rewrites, answers) = match recorded {
            "rewrite/began" => (0..=2, 1..=1),
            "answer/began" => (1..=1, 1..=2),
            "answer" => (1..=1, 1..=1),
            _ => (1..=1, 1..=2),
        };
        assert!(rewrites.contains(&made[0]) && answers.contains(&made[1]), "killed behind {recorded}: {made:?}");
        let messages = server.get(&format!("/api/assistant/conversations/{}", asked.conversation)).json();
        let states: Vec<&str> =
            messages["messages"].as_array().unwrap().iter().map(|message| message["state"].as_str().unwrap()).collect();
        assert_eq!(states, ["completed"; 4], "killed behind {recorded}");
    }
}

/// So are the others, which have one call each.
#[test]
fn killed_before_and_behind_their_call_landing_copilot_and_persona_go_on() {
    let platform = Platform::new(&constant(150));
    let mut persona = 0;
    for (path, step) in [
        ("/api/landing-assistant/query", "answer"),
        ("/api/tutors/t-17/copilot", "suggest"),
        ("/api/personas", "classify"),
    ] {
        for (recorded, most) in [(format!("{step}/began"), 2), (step.to_owned(), 1)] {
            let server = platform.serve();
            persona += 1;
            let body = match step {
                "answer" => json!({ "question": "Can I get my money back?" }),
                "suggest" => json!({ "transcript": "Ada: I do not get joins." }),
                _ => json!({ "userId": format!("u{persona}"), "profile": "Asks much." }),
            };
            let accepted = post(server.address, path, &body.to_string());
            let job = accepted.json()["jobId"].as_str().expect("an id").to_owned();
            within(Duration::from_secs(20), &recorded, || is_recorded(&server, &job, &recorded).then_some(()));
            server.kill();
            let server = platform.serve();
            let told = ended(&server, &accepted.headers["location"]);
            assert_eq!(told["status"], "completed", "killed behind {recorded}: {told}");
            let calls = platform.calls_of(&job, step);
            assert!((1..=most).contains(&calls), "killed behind {recorded}: {calls} calls");
        }
    }
}
