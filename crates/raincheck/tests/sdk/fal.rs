use super::{Painter, TELLS_THIS_MACHINE, drive, node, python};
use crate::support::{Authority, Place, Server};

/// A server with TLS that accepts images, and a worker that makes them.
fn start(place: &Place) -> (Server, Authority, Painter) {
    let authority = Authority::new(place);
    let config = format!("{TELLS_THIS_MACHINE}[workers]\nkinds = [\"image.generate\"]\n");
    let config = place.file("workers.toml", &config);
    let flags = [&authority.flags()[..], &["--config", config.to_str().expect("a plain path")]].concat();
    let server = Server::start(place, &flags);
    let painter = Painter::start(place, &server, Some(&authority.authority));
    (server, authority, painter)
}

/// By its environment variables alone, which know no other scheme than https.
#[test]
fn fal_client_for_python() {
    let place = Place::new();
    let (server, authority, _painter) = start(&place);
    let host = format!("localhost:{}", server.address.port());
    let mut script = python("fal-client-1.0.3", "fal_sdk.py");
    script.env("FAL_KEY", "any:key").env("SSL_CERT_FILE", &authority.authority).env("RAINCHECK", server.url());
    script.env("FAL_QUEUE_RUN_HOST", format!("{host}/fal")).env("FAL_RUN_HOST", format!("{host}/fal/run"));
    drive(&mut script, &place);
}

/// By `proxyUrl`, and by a middleware that changes the address.
#[test]
fn fal_client_for_node() {
    let place = Place::new();
    let (server, authority, _painter) = start(&place);
    let mut script = node("fal-ai-client-1.10.1", "fal_sdk.cjs");
    script.env("FAL_KEY", "any:key").env("NODE_EXTRA_CA_CERTS", &authority.authority);
    script.env("RAINCHECK", format!("https://localhost:{}", server.address.port()));
    drive(&mut script, &place);
}
