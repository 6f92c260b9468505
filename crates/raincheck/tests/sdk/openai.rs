use std::process::Command;

use super::{drive, key, node, python};
use crate::support::{Place, Server};

/// What the simulator does: one model that is quick, one that is slow, one whose first answer breaks off in the middle, one that
/// is refused, and more that are named after what goes wrong with them.
const SIMULATED: &str = r#"{
    "overrides": [
        {"model": "quick", "behaviour": {"first_token_ms": {"constant": 5}, "per_token_ms": {"constant": 1}, "output_tokens": {"constant": 12}}},
        {"model": "slow", "behaviour": {"first_token_ms": {"constant": 50}, "per_token_ms": {"constant": 80}, "output_tokens": {"constant": 32}}},
        {"model": "cut", "behaviour": {"first_token_ms": {"constant": 5}, "per_token_ms": {"constant": 20}, "output_tokens": {"constant": 24}}},
        {"model": "silent", "behaviour": {"first_token_ms": {"constant": 16000}, "per_token_ms": {"constant": 1}, "output_tokens": {"constant": 12}}}
    ],
    "faults": [
        {"fault": {"kind": "content_policy"}, "model": "refused"},
        {"fault": {"kind": "reset_mid", "after_tokens": 8}, "model": "cut", "calls": 1},
        {"fault": {"kind": "status", "status": 400}, "model": "status-400"},
        {"fault": {"kind": "status", "status": 401}, "model": "status-401"},
        {"fault": {"kind": "status", "status": 403}, "model": "status-403"},
        {"fault": {"kind": "status", "status": 404}, "model": "status-404"},
        {"fault": {"kind": "status", "status": 409}, "model": "status-409"},
        {"fault": {"kind": "status", "status": 422}, "model": "status-422"},
        {"fault": {"kind": "status", "status": 500}, "model": "status-500"},
        {"fault": {"kind": "rate_limited", "retry_after": "ms", "wait_ms": 200}, "model": "throttled", "calls": 2},
        {"fault": {"kind": "insufficient_quota", "retry_after": "seconds", "wait_ms": 1000}, "model": "quota-1"},
        {"fault": {"kind": "insufficient_quota", "retry_after": "seconds", "wait_ms": 61000}, "model": "quota-61"},
        {"fault": {"kind": "insufficient_quota", "retry_after": "date", "wait_ms": 130000}, "model": "quota-130"},
        {"fault": {"kind": "error_mid"}, "model": "error-mid"},
        {"fault": {"kind": "reset_mid"}, "model": "reset-mid"}
    ]
}"#;

/// A server in front of a simulated provider; gives both.
fn start(place: &Place) -> (Server, Server) {
    place.file("sim.json", SIMULATED);
    let simulator = Server::simulator(place, &["--config", "sim.json"]);
    let upstream = |name: &str, more: &str| {
        let url = simulator.url();
        format!("[upstream.{name}]\nprotocol = \"openai\"\nbase_url = \"{url}/openai/v1\"\n{more}")
    };
    let listed = upstream("sim", "models = [\"cut\", \"quick\", \"refused\", \"slow\"]\n");
    (Server::configured(place, &(listed + &upstream("faulty", ""))), simulator)
}

/// Runs a script with an SDK that knows only where OpenAI is.
fn drive_sdk(mut script: Command) {
    let place = Place::new();
    let key = key(&place);
    let (server, _simulator) = start(&place);
    script.env("OPENAI_BASE_URL", format!("{}/openai/v1", server.url())).env("OPENAI_API_KEY", key);
    drive(&mut script, &place);
}

#[test]
fn openai_for_python() {
    drive_sdk(python("openai-3.57.0", "openai_sdk.py"));
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

#[test]
fn ai_sdk() {
    drive_sdk(node("ai-6.0.326", "ai_sdk.cjs"));
}

#[test]
fn langchain_and_openai_agents() {
    drive_sdk(python("openai-agents-0.24.0", "agents_sdk.py"));
}
