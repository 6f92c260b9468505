//! Promise: the end of a job is told to its webhook at least once, whenever the server dies; and each telling of it has the same
//! id and the same body.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rand::RngExt;
use serde_json::Value;

use super::server::{Launch, Server};
use super::trial::{chance, rounds, within};
use crate::support::Place;

/// What was told, by the id of the webhook: the body of each telling.
pub(crate) type Heard = Arc<Mutex<BTreeMap<String, Vec<String>>>>;

/// Takes what it is told, each a little later than it came, so that a server may die in between.
pub(crate) fn hear(listener: TcpListener, heard: &Heard) {
    let heard = Arc::clone(heard);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let heard = Arc::clone(&heard);
            thread::spawn(move || while take(stream.as_ref().expect("a connection"), &heard).is_some() {});
        }
    });
}

/// Takes one request from a connection; `None` if there are no more.
fn take(mut stream: &TcpStream, heard: &Heard) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let (mut id, mut length, mut line) = (String::new(), 0, String::new());
    while reader.read_line(&mut line).ok()? > 0 && line != "\r\n" {
        let lower = line.to_ascii_lowercase();
        if let Some(value) = lower.strip_prefix("webhook-id:") {
            id = value.trim().to_owned();
        }
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().expect("a length");
        }
        line.clear();
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok().filter(|()| length > 0)?;
    thread::sleep(Duration::from_millis(20));
    heard.lock().unwrap().entry(id).or_default().push(String::from_utf8(body).expect("text"));
    stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").ok()
}

fn start(place: &Place) -> Server {
    place.file("raincheck.toml", "[egress]\nallow = [\"127.0.0.0/8\"]\n");
    Launch::at(place).start()
}

fn submit(server: &Server, port: u16) -> String {
    let body = format!(r#"{{"kind": "echo", "input": 7, "webhook": "http://127.0.0.1:{port}/"}}"#);
    let answer = server.http().submit("", &body).expect("an answer");
    assert_eq!(answer.status, 202, "{answer}");
    answer.id()
}

#[test]
fn the_end_of_every_job_is_told_whenever_the_server_dies() {
    let (place, heard) = (Place::new(), Heard::default());
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    hear(listener, &heard);
    let (mut server, mut jobs) = (start(&place), Vec::new());
    let mut chance = chance(5);
    for _ in 0..rounds(6) {
        jobs.extend((0..40).map(|_| submit(&server, port)));
        // Chance itself is what is waited for: it decides where the kill falls.
        thread::sleep(Duration::from_millis(chance.random_range(1..120)));
        server.kill();
        server.start_again();
    }
    let told = |job: &String| heard.lock().unwrap().values().flatten().any(|body| body.contains(job.as_str()));
    within(Duration::from_secs(60), "every end is told", || jobs.iter().all(told).then_some(()));
    let heard = heard.lock().unwrap();
    assert_eq!(heard.len(), jobs.len(), "one id for the end of each job");
    assert!(heard.values().all(|bodies| bodies.iter().all(|body| *body == bodies[0])), "each telling is the same");
    let tellings: usize = heard.values().map(Vec::len).sum();
    println!("{} jobs ended, and their ends were told {tellings} times", jobs.len());
}

#[test]
fn a_receiver_that_was_down_is_told_when_it_is_back() {
    let (place, heard) = (Place::new(), Heard::default());
    let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port").port();
    let mut server = start(&place);
    let job = submit(&server, port);
    let delivery =
        |server: &Server| -> Value { server.http().get(&format!("/v1/jobs/{job}/webhook")).expect("an answer").json() };
    let tried = || delivery(&server)["last_answer"].as_str().map(str::to_owned);
    let answer = within(Duration::from_secs(10), "nobody is there to be told", tried);
    assert!(answer.contains("refused"), "{answer}");
    server.kill();
    server.start_again();
    hear(TcpListener::bind(("127.0.0.1", port)).expect("the port"), &heard);
    within(Duration::from_secs(20), "it is told", || (delivery(&server)["state"] == "delivered").then_some(()));
    assert_eq!(delivery(&server)["tries"], 2);
    assert_eq!(heard.lock().unwrap().len(), 1);
}
