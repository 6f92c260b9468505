use std::io::Write as _;
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

use super::Kitchen;
use crate::proof::within;
use crate::support::request;

const KEEP: &str = r#"
name = "keep"
[route]
post = "/api/keep"
[input]
file = { type = "file", max = 100000 }
note = { type = "string", max = 10, optional = true }
[steps.say]
kind = "echo"
input = { sha256 = "{{ input.file.sha256 }}", bytes = "{{ input.file.bytes }}", name = "{{ input.file.filename }}", note = "{{ input.note }}" }
[accepted]
body = { id = "{{ job.id }}" }
[status]
get = "/api/keep/{id}"
body = "{{ job.result }}"
"#;

const HELLO: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
const FORM: &[(&str, &str)] = &[("content-type", "multipart/form-data; boundary=xx")];

fn form(parts: &[(&str, &str)]) -> String {
    let part =
        |(head, body): &(&str, &str)| format!("--xx\r\nContent-Disposition: form-data; {head}\r\n\r\n{body}\r\n");
    parts.iter().map(part).collect::<String>() + "--xx--\r\n"
}

/// How many files the server keeps.
fn kept(kitchen: &Kitchen) -> usize {
    let files = kitchen.server.get("/openai/v1/files").json();
    files["data"].as_array().map_or(0, Vec::len)
}

#[test]
fn a_file_comes_as_a_part_of_a_form_or_as_the_whole_body() {
    let kitchen = Kitchen::new(&[("keep", KEEP)]);
    let body = form(&[("name=\"note\"", "mine"), ("name=\"file\"; filename=\"a.txt\"", "hello")]);
    let accepted = request(kitchen.server.address, "POST", "/api/keep", FORM, &body);
    let told = kitchen.ended("/api/keep", &accepted);
    assert_eq!(told, serde_json::json!({ "sha256": HELLO, "bytes": 5, "name": "a.txt", "note": "mine" }));
    let raw = request(kitchen.server.address, "POST", "/api/keep", &[("content-type", "audio/wav")], "hello");
    assert_eq!(kitchen.ended("/api/keep", &raw)["sha256"], HELLO);
    assert_eq!(kept(&kitchen), 2);
}

#[test]
fn what_is_refused_leaves_no_file() {
    let kitchen = Kitchen::new(&[("keep", KEEP)]);
    let large = "x".repeat(100_001);
    for (parts, status) in [
        (vec![("name=\"file\"; filename=\"a\"", large.as_str())], 413),
        (vec![("name=\"file\"; filename=\"a\"", "")], 422),
        (vec![("name=\"note\"", "no file")], 422),
        (vec![("name=\"file\"; filename=\"a\"", "hello"), ("name=\"note\"", "much too long")], 422),
        (vec![("name=\"file\"; filename=\"a\"", "hello"), ("name=\"odd\"", "a")], 422),
        (vec![("name=\"file\"; filename=\"a\"", "hello"), ("name=\"file\"; filename=\"b\"", "hello")], 422),
    ] {
        let reply = request(kitchen.server.address, "POST", "/api/keep", FORM, &form(&parts));
        assert_eq!(reply.status, status, "{reply:?}");
    }
    let json = kitchen.post("/api/keep", r#"{"file": "hello"}"#);
    assert_eq!(json.status, 422, "{json:?}");
    assert_eq!(kept(&kitchen), 0);
}

#[test]
fn a_file_that_is_sent_again_under_the_same_key_is_the_same_request() {
    let kitchen = Kitchen::new(&[("keep", KEEP)]);
    let headers = [FORM[0], ("idempotency-key", "one")];
    let send = |text: &str| {
        let body = form(&[("name=\"file\"; filename=\"a.txt\"", text)]);
        request(kitchen.server.address, "POST", "/api/keep", &headers, &body)
    };
    assert_eq!(send("hello").body, send("hello").body);
    assert_eq!(send("other").status, 422);
    assert_eq!(kept(&kitchen), 1, "that which came again is not kept");
}

#[test]
fn a_client_that_goes_half_way_leaves_nothing() {
    let kitchen = Kitchen::new(&[("keep", KEEP)]);
    let mut stream = TcpStream::connect(kitchen.server.address).unwrap();
    let head = "POST /api/keep HTTP/1.1\r\nhost: localhost\r\ncontent-type: audio/wav\r\ncontent-length: 90000\r\n\r\n";
    stream.write_all(format!("{head}{}", "x".repeat(40_000)).as_bytes()).unwrap();
    let parts = || count(&kitchen.place.data().join("uploads"));
    within(Duration::from_secs(10), "the file begins to arrive", || (parts() > 0).then_some(()));
    drop(stream);
    within(Duration::from_secs(10), "it is gone again", || (parts() == 0).then_some(()));
    let jobs: Value = kitchen.server.get("/v1/jobs").json();
    assert_eq!((kept(&kitchen), jobs["jobs"].as_array().unwrap().len()), (0, 0));
}

/// Files below a directory.
fn count(path: &std::path::Path) -> usize {
    let Ok(entries) = std::fs::read_dir(path) else { return 0 };
    let below = |path: std::path::PathBuf| if path.is_dir() { count(&path) } else { 1 };
    entries.flatten().map(|entry| below(entry.path())).sum()
}
