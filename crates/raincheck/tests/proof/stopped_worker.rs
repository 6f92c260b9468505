//! Promise: a worker that is stopped past its lease (or dies) is overtaken within the lease and a second, and whatever it
//! still wants to write afterwards is refused and changes nothing.
//!
//! The workers are processes of their own that speak HTTP; the server is put together here from the same parts as the
//! binary's, with one external kind.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use raincheck_api::ApiSettings;
use raincheck_engine::{About, Chance, Engine, Hub, Registry, Settings, SystemClock};
use raincheck_store_sqlite::{Options, SqliteStore};
use rustix::process::Signal;
use tokio_util::sync::CancellationToken;

use super::http::Http;
use super::job::{self, kind_of};
use super::server::Process;
use super::trial::{allowed, now, rounds};
use crate::support::Place;

const LEASE: Duration = Duration::from_secs(1);

/// A server in a thread of this process.
struct Hosted {
    address: SocketAddr,
    closing: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Hosted {
    fn start(place: &Place) -> Self {
        let closing = CancellationToken::new();
        let (tell, told) = mpsc::channel();
        let (data, token) = (place.data(), closing.clone());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let hub = Hub::new();
                let store = SqliteStore::open(Options::new(data), Arc::clone(&hub) as _).await.expect("open the store");
                let remote =
                    About::new("remote".parse().expect("a name"), "Run elsewhere.", serde_json::json!(true).into());
                let (clock, chance) = (Arc::new(SystemClock), Chance::from_system());
                let registry = Registry::default().with_external(remote);
                let engine = Engine::start(Arc::new(store), hub, registry, Settings::default(), clock, chance);
                let engine = engine.await.expect("start the engine");
                let settings = Arc::new(ApiSettings { keyless: true, ..ApiSettings::default() });
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("listen");
                tell.send(listener.local_addr().expect("an address")).expect("somebody waits");
                let router = raincheck_api::router(engine.clone(), Arc::clone(&settings), token.clone());
                raincheck_api::serve(listener, router, settings, token).await.expect("serve");
                engine.drain(Duration::ZERO).await.expect("drain");
            });
        });
        Self { address: told.recv().expect("the server starts"), closing, thread: Some(thread) }
    }

    fn http(&self) -> Http {
        Http::connect(self.address).expect("connect")
    }
}

impl Drop for Hosted {
    fn drop(&mut self) {
        self.closing.cancel();
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking(), "the server panicked");
        }
    }
}

/// A worker process.
struct Worker {
    process: Process,
    orders: ChildStdin,
    says: BufReader<ChildStdout>,
}

impl Worker {
    fn start(server: &Hosted, name: &str) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/proof/stopped_worker.py");
        let mut command = Command::new("python3");
        command.args([script, &format!("http://{}", server.address), name]);
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("start python3");
        let mut process = Process(child);
        let orders = process.0.stdin.take().expect("piped");
        let says = BufReader::new(process.0.stdout.take().expect("piped"));
        Self { process, orders, says }
    }

    fn hear(&mut self) -> Vec<String> {
        let mut line = String::new();
        self.says.read_line(&mut line).expect("read what a worker says");
        line.split_whitespace().map(ToOwned::to_owned).collect()
    }

    fn order(&mut self, what: &str) {
        writeln!(self.orders, "{what}").expect("tell a worker");
    }

    fn told(&mut self, what: &str) -> Vec<String> {
        self.order(what);
        self.hear()
    }
}

#[test]
fn a_stopped_worker_is_overtaken_and_its_late_writes_are_refused() {
    let place = Place::new();
    let server = Hosted::start(&place);
    let mut http = server.http();
    for round in 0..rounds(1) {
        let id = http.submit("", r#"{"kind": "remote"}"#).expect("an answer").id();
        let mut first = Worker::start(&server, "first");
        assert_eq!(first.hear()[..2], ["leased", id.as_str()]);
        assert_eq!(first.told("progress"), ["events", "200", "-"]);
        let mut second = Worker::start(&server, "second");
        first.process.signal(Signal::STOP);
        // Already on their way when it wakes, as the rest of a loop would be.
        ["progress", "finish", "beat"].into_iter().for_each(|order| first.order(order));
        let stopped = now();
        let leased = second.hear();
        let overtaken = stopped.elapsed();
        assert_eq!(leased[..2], ["leased", id.as_str()]);
        let limit = LEASE + allowed(Duration::from_secs(1), small(&mut http));
        assert!(overtaken < limit, "overtaken after {overtaken:?}, and {limit:?} is allowed");
        assert_eq!(second.told("progress"), ["events", "200", "-"]);
        if round % 2 == 0 {
            // Late writes while the second runs, and later ones after it has finished.
            late_writes(&mut first);
            assert_eq!(second.told("finish"), ["finish", "200", "-"]);
        } else {
            assert_eq!(second.told("finish"), ["finish", "200", "-"]);
            late_writes(&mut first);
        }
        let before = job::log(&mut http, &id);
        for order in ["progress", "finish"] {
            assert_eq!(first.told(order)[1], "409", "after the end");
        }
        let log = job::log(&mut http, &id);
        job::check(&log);
        assert_eq!(log, before);
        let types = "accepted@0 started@1 progress@1 output@1 lease_lost@1 started@2 progress@2 output@2 completed@2";
        assert_eq!(job::types(&log), types);
        let job = job::check_ended(&mut http, &id);
        assert_eq!(job["result"]["by"], "second");
        println!("overtaken {overtaken:?} after it was stopped");
    }
}

/// How long it takes to accept a job, which nobody is given.
fn small(http: &mut Http) -> Duration {
    let start = now();
    http.submit("", r#"{"kind": "remote", "delay": 3600}"#).expect("an answer").id();
    start.elapsed()
}

fn late_writes(worker: &mut Worker) {
    worker.process.signal(Signal::CONT);
    let lost = "urn:raincheck:problem:lease-lost";
    assert_eq!(worker.hear(), ["events", "409", lost]);
    assert_eq!(worker.hear(), ["finish", "409", lost]);
    assert_eq!(worker.hear(), ["beat", "False", "-"]);
}

#[test]
fn the_job_of_a_worker_that_dies_runs_elsewhere_within_the_lease_and_a_second() {
    let place = Place::new();
    let server = Hosted::start(&place);
    let mut http = server.http();
    let deaths = rounds(3);
    let (mut longest, mut limit) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..deaths {
        let id = http.submit("", r#"{"kind": "remote"}"#).expect("an answer").id();
        let mut first = Worker::start(&server, "first");
        assert_eq!(first.hear()[..2], ["leased", id.as_str()]);
        let mut second = Worker::start(&server, "second");
        first.process.kill();
        let died = now();
        assert_eq!(second.hear()[..2], ["leased", id.as_str()]);
        longest = longest.max(died.elapsed());
        limit = limit.max(LEASE + allowed(Duration::from_secs(1), small(&mut http)));
        assert_eq!(second.told("finish"), ["finish", "200", "-"]);
        let log = job::log(&mut http, &id);
        job::check(&log);
        assert!(log.iter().any(|event| kind_of(event) == "lease_lost"), "{}", job::types(&log));
    }
    println!("{deaths} deaths; running elsewhere after {longest:?} at most, with a lease of {LEASE:?}");
    assert!(longest < limit, "{longest:?}, and {limit:?} is allowed");
}
