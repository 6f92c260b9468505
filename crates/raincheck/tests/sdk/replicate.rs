use super::{Painter, TELLS_THIS_MACHINE, drive, node, python};
use crate::support::{Place, Server};

/// A server that accepts images, and a worker that makes them.
fn start(place: &Place) -> (Server, Painter) {
    let config = format!("{TELLS_THIS_MACHINE}[workers]\nkinds = [\"image.generate\"]\n[limits]\nwait = \"2s\"\n");
    let server = Server::configured(place, &config);
    let painter = Painter::start(place, &server, None);
    (server, painter)
}

#[test]
fn replicate_for_python() {
    let place = Place::new();
    let (server, _painter) = start(&place);
    let mut script = python("replicate-1.0.7", "replicate_sdk.py");
    script.env("REPLICATE_API_TOKEN", "any").env("REPLICATE_BASE_URL", format!("{}/replicate", server.url()));
    drive(&mut script, &place);
}

#[test]
fn replicate_for_node() {
    let place = Place::new();
    let (server, _painter) = start(&place);
    let mut script = node("replicate-1.4.0", "replicate_sdk.cjs");
    script.env("REPLICATE_API_TOKEN", "any").env("RAINCHECK", format!("{}/replicate/v1", server.url()));
    drive(&mut script, &place);
}
