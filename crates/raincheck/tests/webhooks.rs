//! `raincheck webhook`.

use std::net::TcpListener;

use crate::support::{Place, Server, raincheck, run};

#[test]
fn the_command_line_shows_repeats_and_signs() {
    let place = Place::new();
    let server = Server::configured(&place, "[egress]\nallow = [\"127.0.0.0/8\"]\n");
    let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port").port();
    let webhook = format!("http://127.0.0.1:{port}/hook");
    let client = |args: &[&str]| run(&mut raincheck(&[&["--server", &server.url()], args].concat()));
    let job = client(&["submit", "echo", "--webhook", &webhook, "--wait", "10s", "--json"]).json();
    assert_eq!(job["webhook"], webhook.as_str());
    let id = job["id"].as_str().expect("an id");
    let shown = client(&["webhook", "show", id]).json();
    assert_eq!((&shown["url"], &shown["state"]), (&webhook.as_str().into(), &"pending".into()));
    assert_eq!(client(&["webhook", "redeliver", id]).json()["state"], "pending");
    let secret = client(&["webhook", "secret"]).json();
    let rotated = client(&["webhook", "secret", "--rotate"]).json();
    assert!(rotated["previous_until"].is_string() && rotated["secret"] != secret["secret"], "{rotated}");
    let without = client(&["submit", "echo", "--json"]).json();
    let refused = client(&["webhook", "show", without["id"].as_str().expect("an id")]);
    assert!(refused.code != Some(0) && refused.err.contains("without a webhook"), "{refused:?}");
    let private = client(&["submit", "echo", "--webhook", "https://10.0.0.1/"]);
    assert!(private.err.contains("not public"), "{private:?}");
}
