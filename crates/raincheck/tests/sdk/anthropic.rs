use super::{drive, node, python, simulator};
use crate::support::{Place, Server};

/// A server whose messages are written by a simulated provider; gives both.
fn start(place: &Place) -> (Server, Server) {
    let simulator = simulator(place);
    let upstream =
        format!("[upstream.claude]\nprotocol = \"anthropic\"\nbase_url = \"{}/anthropic\"\n", simulator.url());
    let config = place.file("upstreams.toml", &upstream);
    let server = Server::start(place, &["--config", config.to_str().expect("a plain path")]);
    (server, simulator)
}

fn drive_python(package: &str) {
    let place = Place::new();
    let (server, _simulator) = start(&place);
    drive(python(package, "anthropic_sdk.py").env("ANTHROPIC_BASE_URL", format!("{}/anthropic", server.url())), &place);
}

#[test]
fn anthropic_for_python() {
    drive_python("anthropic-2.12.0");
}

#[test]
fn anthropic_for_python_of_the_major_before() {
    drive_python("anthropic-1.17.0");
}

#[test]
fn anthropic_for_node() {
    let place = Place::new();
    let (server, _simulator) = start(&place);
    let url = format!("{}/anthropic", server.url());
    drive(node("anthropic-ai-sdk-1.12.0", "anthropic_sdk.cjs").env("ANTHROPIC_BASE_URL", url), &place);
}
