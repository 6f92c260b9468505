use std::process::Command;

use super::{drive, key, node, python};
use crate::support::{Place, Server};

/// What the simulator does: models that are named after what goes wrong with them.
const SIMULATED: &str = r#"{"faults": [
    {"fault": {"kind": "overloaded"}, "model": "overloaded-once", "calls": 1},
    {"fault": {"kind": "overloaded", "retry_after": "seconds", "wait_ms": 1000}, "model": "overloaded"},
    {"fault": {"kind": "status", "status": 413}, "model": "status-413"},
    {"fault": {"kind": "error_mid"}, "model": "error-mid"},
    {"fault": {"kind": "reset_mid"}, "model": "reset-mid"}
]}"#;

/// A server whose messages are written by a simulated provider; gives both.
fn start(place: &Place) -> (Server, Server) {
    place.file("sim.json", SIMULATED);
    let simulator = Server::simulator(place, &["--config", "sim.json"]);
    let upstream = |name: &str, more: &str| {
        format!("[upstream.{name}]\nprotocol = \"anthropic\"\nbase_url = \"{}/anthropic\"\n{more}", simulator.url())
    };
    let listed = upstream("claude", "models = [\"claude-listed\", \"claude-sim\"]\n");
    (Server::configured(place, &(listed + &upstream("others", ""))), simulator)
}

/// Runs a script with an SDK that knows only where Anthropic is.
fn drive_sdk(mut script: Command) {
    let place = Place::new();
    let key = key(&place);
    let (server, _simulator) = start(&place);
    script.env("ANTHROPIC_BASE_URL", format!("{}/anthropic", server.url())).env("ANTHROPIC_API_KEY", key);
    drive(&mut script, &place);
}

#[test]
fn anthropic_for_python() {
    drive_sdk(python("anthropic-2.13.0", "anthropic_sdk.py"));
}

/// Which sends its key as `x-api-key`.
#[test]
fn anthropic_for_python_of_the_major_before() {
    drive_sdk(python("anthropic-1.17.0", "anthropic_sdk.py"));
}

#[test]
fn anthropic_for_node() {
    drive_sdk(node("anthropic-ai-sdk-1.13.0", "anthropic_sdk.cjs"));
}
