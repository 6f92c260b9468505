use std::process::Command;

use super::{drive, node, python};
use crate::support::{Place, Server};

/// A server whose messages are written by a simulated provider; gives both.
fn start(place: &Place) -> (Server, Server) {
    let simulator = Server::simulator(place, &[]);
    let upstream =
        format!("[upstream.claude]\nprotocol = \"anthropic\"\nbase_url = \"{}/anthropic\"\n", simulator.url());
    (Server::configured(place, &upstream), simulator)
}

/// Runs a script with an SDK that knows only where Anthropic is.
fn drive_sdk(mut script: Command) {
    let place = Place::new();
    let (server, _simulator) = start(&place);
    drive(script.env("ANTHROPIC_BASE_URL", format!("{}/anthropic", server.url())), &place);
}

#[test]
fn anthropic_for_python() {
    drive_sdk(python("anthropic-2.12.0", "anthropic_sdk.py"));
}

#[test]
fn anthropic_for_python_of_the_major_before() {
    drive_sdk(python("anthropic-1.17.0", "anthropic_sdk.py"));
}

#[test]
fn anthropic_for_node() {
    drive_sdk(node("anthropic-ai-sdk-1.12.0", "anthropic_sdk.cjs"));
}
