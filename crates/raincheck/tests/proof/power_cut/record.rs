//! Records a real server at work: three lives, one ended by a kill, one in order (so that the log is moved into the
//! database at the end), and one that writes so much that this happens under way.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::trace::{Name, Op, Reader};
use crate::proof::http::Http;
use crate::proof::job;
use crate::proof::server::{Launch, Server};
use crate::proof::trial::within;
use crate::support::Place;

const CALLS: &str = "trace=openat,open,creat,pwrite64,pwritev,pwritev2,write,writev,fdatasync,fsync,sync_file_range,ftruncate,\
                     truncate,fallocate,unlink,unlinkat,rename,renameat,renameat2,close,sendto,sendmsg";

/// A server's writes and answers, and what was asked of it.
pub(super) struct Recording {
    pub(super) ops: Vec<Op>,
    /// How many of these belong to the first two lives.
    pub(super) small: usize,
    /// By job: the key and body of its request.
    pub(super) requests: BTreeMap<String, (String, String)>,
}

pub(super) fn record() -> Recording {
    let place = Place::new();
    let (mut exists, mut recording) =
        (BTreeMap::new(), Recording { ops: Vec::new(), small: 0, requests: BTreeMap::new() });
    for life in 1..=3 {
        if life == 3 {
            recording.small = recording.ops.len();
        }
        let trace = place.path().join(format!("trace-{life}"));
        let output = trace.to_str().expect("a plain path");
        let strace = ["strace", "-D", "-f", "--seccomp-bpf", "-xx", "-s", "65536", "-e", CALLS, "-o", output];
        let mut server = Launch::at(&place).under(&strace).start();
        let asked = match life {
            3 => large_jobs(&server),
            _ => small_jobs(&server, life),
        };
        recording.requests.extend(asked);
        let pid = server.pid().as_raw_nonzero().to_string();
        if life == 2 {
            server.stop();
        } else {
            server.kill();
        }
        let trace = whole(&trace, &pid);
        recording.ops.extend(Reader::new(&place.data(), &mut exists).read(&trace));
    }
    check_against(&recording, &place.data());
    for id in recording.requests.keys() {
        let told = recording.ops.iter().any(|op| matches!(op, Op::Told(told) if told.id == *id));
        assert!(told, "the answer that accepted {id} was not recorded");
    }
    recording
}

/// The trace, once the tracer has written it to its end.
fn whole(trace: &PathBuf, pid: &str) -> String {
    within(Duration::from_secs(20), "the tracer ends", || {
        let text = std::fs::read_to_string(trace).ok()?;
        let tail = &text[text.len().saturating_sub(4_000)..];
        let ended = tail
            .lines()
            .any(|line| line.split_once(' ').is_some_and(|(p, rest)| p == pid && rest.trim_start().starts_with("+++")));
        ended.then_some(text)
    })
}

/// Replaying everything must give the files that are there: else something was not recorded.
fn check_against(recording: &Recording, data: &Path) {
    let mut disk = super::disk::Disk::new(super::disk::Lie::None);
    recording.ops.iter().for_each(|op| disk.apply(op));
    let image = disk.image(super::disk::Fate::Kept, &mut crate::proof::trial::chance(0));
    for name in [Name::Database, Name::Wal] {
        let there = std::fs::read(data.join(name.file())).unwrap_or_default();
        assert!(image.bytes(name) == there, "{} is not what was recorded", name.file());
    }
}

type Asked = BTreeMap<String, (String, String)>;

fn ask(http: &mut Http, asked: &mut Asked, key: String, body: String) -> String {
    let answer = http.submit(&key, &body).expect("an answer");
    assert_eq!(answer.status, 202, "{answer}");
    asked.insert(answer.id(), (key, body));
    answer.id()
}

/// A few clients at once; some look at the end of their jobs, some cancel.
fn small_jobs(server: &Server, life: u32) -> Asked {
    let client = |client: u32| {
        let (mut http, mut asked) = (server.http(), Asked::new());
        for number in 0..14 {
            let seconds = if number % 5 == 0 { 0.3 } else { 0.01 };
            let body = match number % 3 {
                0 => format!(r#"{{"kind": "sleep", "input": {{"seconds": {seconds}}}}}"#),
                _ => format!(r#"{{"kind": "echo", "input": "{number:->400}"}}"#),
            };
            let id = ask(&mut http, &mut asked, format!("{life}-{client}-{number}"), body);
            match number % 4 {
                0 => drop(http.request("POST", &format!("/v1/jobs/{id}/cancel"), &[], "").expect("an answer")),
                1 => drop(job::ended(&mut http, &id)),
                _ => {}
            }
        }
        asked
    };
    thread::scope(|scope| {
        let clients: Vec<_> = (0..3).map(|number| scope.spawn(move || client(number))).collect();
        clients.into_iter().flat_map(|client| client.join().expect("a client")).collect()
    })
}

/// Enough to fill the log, so that it is moved into the database under way, with small jobs between.
fn large_jobs(server: &Server) -> Asked {
    let (mut http, mut asked) = (server.http(), Asked::new());
    for number in 0..10 {
        let body = format!(r#"{{"kind": "echo", "input": "{}"}}"#, "y".repeat(900_000));
        let large = ask(&mut http, &mut asked, format!("large-{number}"), body);
        for small in 0..2 {
            let body = format!(r#"{{"kind": "echo", "input": {small}}}"#);
            ask(&mut http, &mut asked, format!("between-{number}-{small}"), body);
        }
        // Over a connection of its own: an answer so large is not wholly in the trace.
        let ended = server.http().get(&format!("/v1/jobs/{large}/result?wait=30")).expect("an answer");
        assert_eq!(ended.status, 200);
    }
    asked
}
