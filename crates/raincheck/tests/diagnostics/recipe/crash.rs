//! The server is killed (SIGKILL) at every boundary of the recipe, and by the provider's own account nothing that is recorded was
//! done again.

use serde_json::{Value, json};

use super::{ended, recorded, says, serve, submit};
use crate::diagnostics::{RESPONSES, Stage};
use crate::proof::within;
use crate::support::{Server, post};

/// A call of a second, and an upload of half of one.
fn stage() -> Stage {
    Stage::new(|simulated| {
        simulated["overrides"] = json!([{ "model": "scorer", "behaviour": { "call_ms": { "constant": 1_000 } } }]);
        simulated["behaviour"]["upload_ms"] = json!({ "constant": 500 });
    })
}

/// Kills the server as soon as a diagnostic of this text is so far, starts it again and waits for the end.
fn killed(stage: &Stage, text: &str, is_so_far: impl Fn(&Server, &str)) -> Value {
    let server = serve(stage);
    let path = submit(&server, text);
    is_so_far(&server, &path);
    server.kill();
    let server = serve(stage);
    let told = ended(&server, &path);
    assert_eq!(told["status"], "completed", "{told}");
    assert!(told["result"]["score"].is_u64(), "{told}");
    told
}

#[test]
fn killed_at_every_boundary_it_is_uploaded_once_and_scored_once() {
    let stage = stage();
    for (number, boundary) in
        (1..).zip(["score/began", "score/started at provider", "score/served", "score", "read", "repair", "outcome"])
    {
        killed(&stage, &format!("Killed behind {boundary}"), |server, path| recorded(server, path, boundary));
        let ledger = (stage.total("uploads"), stage.total("executions"));
        assert_eq!(ledger, (number, number), "killed behind {boundary}");
    }
}

#[test]
fn killed_while_the_file_goes_up_it_goes_up_again_and_is_there_once() {
    let stage = stage();
    killed(&stage, "Agent: Yes?", |server, path| says(server, path, "Uploading call.txt"));
    assert_eq!((stage.total("uploads"), stage.total("executions")), (1, 1));
}

#[test]
fn killed_between_upload_and_call_it_does_not_go_up_again() {
    let stage = stage();
    // The call comes to the provider, which never takes it.
    let fault = json!({ "rules": [{ "fault": { "kind": "hang" }, "model": "scorer", "calls": 1 }] });
    assert_eq!(post(stage.simulator.address, "/sim/faults", &fault.to_string()).status, 200);
    killed(&stage, "Agent: Yes?", |_, _| {
        within(std::time::Duration::from_secs(20), "the call is made", || {
            let requests = stage.simulator.get("/sim/requests").json();
            let requests = requests["requests"].as_array().expect("requests");
            requests.iter().any(|request| request["path"] == RESPONSES).then_some(())
        });
    });
    assert_eq!((stage.total("uploads"), stage.total("executions")), (1, 1));
}
