use std::process::Command;

use super::{drive, node, python};
use crate::support::{Place, Server};

/// What the simulator does: one model that is quick, one that is slow, one whose first answer breaks off in the middle, and one
/// that is refused.
const SIMULATED: &str = r#"{
    "overrides": [
        {"model": "quick", "behaviour": {"first_token_ms": {"constant": 5}, "per_token_ms": {"constant": 1}, "output_tokens": {"constant": 12}}},
        {"model": "slow", "behaviour": {"first_token_ms": {"constant": 50}, "per_token_ms": {"constant": 80}, "output_tokens": {"constant": 32}}},
        {"model": "cut", "behaviour": {"first_token_ms": {"constant": 5}, "per_token_ms": {"constant": 20}, "output_tokens": {"constant": 24}}}
    ],
    "faults": [
        {"fault": {"kind": "content_policy"}, "model": "refused"},
        {"fault": {"kind": "reset_mid", "after_tokens": 8}, "model": "cut", "calls": 1}
    ]
}"#;

/// A server in front of a simulated provider; gives both.
fn start(place: &Place) -> (Server, Server) {
    place.file("sim.json", SIMULATED);
    let simulator = Server::simulator(place, &["--config", "sim.json"]);
    let upstream = format!(
        "[upstream.sim]\nprotocol = \"openai\"\nbase_url = \"{}/openai/v1\"\nmodels = [\"cut\", \"quick\", \"refused\", \"slow\"]\n",
        simulator.url()
    );
    (Server::configured(place, &upstream), simulator)
}

/// Runs a script with an SDK that knows only where OpenAI is.
fn drive_sdk(mut script: Command) {
    let place = Place::new();
    let (server, _simulator) = start(&place);
    drive(script.env("OPENAI_BASE_URL", format!("{}/openai/v1", server.url())), &place);
}

#[test]
fn openai_for_python() {
    drive_sdk(python("openai-3.54.0", "openai_sdk.py"));
}

#[test]
fn openai_for_python_of_the_major_before() {
    drive_sdk(python("openai-2.30.0", "openai_sdk.py"));
}

#[test]
fn openai_for_python_of_the_first_major() {
    drive_sdk(python("openai-1.109.1", "openai_sdk.py"));
}

#[test]
fn openai_for_node() {
    drive_sdk(node("openai-6.49.0", "openai_sdk.cjs"));
}
