//! How the client behaves when the server does not.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::Stdio;
use std::sync::mpsc;

use crate::support::{Place, Server, raincheck, run};

#[test]
fn where_nobody_listens_it_asks_whether_the_server_runs() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let ended = run(&mut raincheck(&["list", "--server", &format!("http://{free}")]));
    assert_eq!((ended.code, ended.out.as_str()), (Some(4), ""));
    insta::assert_snapshot!(ended.err.replace(&free.to_string(), "ADDRESS"));
}

#[test]
fn a_server_that_says_nothing_is_waited_for_aloud_and_not_for_ever() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let ended = run(&mut raincheck(&["list", "--server", &url, "--read-timeout", "3s"]));
    assert_eq!(ended.code, Some(4));
    insta::assert_snapshot!(ended.err.replace(&url, "URL"));
}

#[test]
fn what_is_no_raincheck_server_is_told() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", other.local_addr().unwrap());
    let served = std::thread::spawn(move || {
        let (mut stream, _) = other.accept().unwrap();
        let mut request = [0; 4096];
        let _ = stream.read(&mut request).unwrap();
        stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 5\r\n\r\nhello").unwrap();
    });
    let ended = run(&mut raincheck(&["list", "--server", &url]));
    served.join().unwrap();
    assert_eq!(ended.code, Some(3));
    insta::assert_snapshot!(ended.err.replace(&url, "URL"));
}

#[test]
fn a_retry_whose_answer_is_lost_can_be_asked_for_again() {
    let dying = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", dying.local_addr().unwrap());
    let served = std::thread::spawn(move || {
        let lines = BufReader::new(dying.accept().unwrap().0).lines();
        let head: Vec<String> = lines.map(|line| line.unwrap()).take_while(|line| !line.is_empty()).collect();
        head.iter().find_map(|line| line.strip_prefix("idempotency-key: ").map(ToOwned::to_owned))
    });
    let ended = run(&mut raincheck(&["retry", "job_0199e000000070008000000000000000", "--server", &url]));
    let key = served.join().unwrap().expect("a key is sent");
    assert_eq!(ended.code, Some(4), "{ended:?}");
    assert!(ended.err.contains(&format!("retry it again with --idempotency-key {key}")), "{}", ended.err);
}

#[test]
fn a_url_that_is_none_is_a_mistake_of_usage() {
    for url in ["ftp://x", "http://", "http://a b"] {
        let ended = run(&mut raincheck(&["list", "--server", url]));
        assert_eq!(ended.code, Some(2), "{url}: {ended:?}");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_panic() {
    for args in [&["config", "show"][..], &["completions", "bash"], &["--help"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let child = raincheck(args).stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
        let ended = child.wait_with_output().unwrap();
        assert_eq!(String::from_utf8_lossy(&ended.stderr), "", "{args:?}");
        assert!(ended.status.code().is_some_and(|code| [0, 141].contains(&code)), "{args:?}: {:?}", ended.status);
    }
}

#[test]
fn following_goes_on_after_the_server_was_away() {
    let place = Place::new();
    let server = Server::start(&place, &[]);
    let (address, url) = (server.address.to_string(), server.url());
    let job = server.submit(r#"{"kind": "sleep", "input": {"seconds": 3}}"#);
    let mut follow = raincheck(&["follow", &job, "--server", &url]);
    let mut child = follow.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (tell, told) = mpsc::channel();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let reader = std::thread::spawn(move || {
        let lines = lines.map(|line| serde_json::from_str::<serde_json::Value>(&line.unwrap()).unwrap());
        lines.for_each(|event| tell.send(event).unwrap());
    });

    let started = told.iter().find(|event| event["type"] == "started").expect("the job starts");
    server.kill();
    let _server = Server::start_at(&place, &address, &[]);
    let rest: Vec<serde_json::Value> = told.iter().collect();
    reader.join().unwrap();

    let mut seqs = rest.iter().map(|event| event["seq"].as_u64().unwrap());
    let gapless = (started["seq"].as_u64().unwrap() + 1..).zip(&mut seqs).all(|(expected, seq)| expected == seq);
    assert!(gapless, "every event once and in order: {rest:?}");
    assert_eq!(rest.last().unwrap()["type"], "completed");
    assert!(rest.iter().any(|event| event["type"] == "lease_lost"), "{rest:?}");
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{said}");
    assert!(said.contains("connecting again in") && said.contains("connected again"), "{said}");
}

#[test]
fn ctrl_c_leaves_the_job_running_and_says_how_to_come_back() {
    let place = Place::new();
    let server = Server::start(&place, &["--store", "memory"]);
    let job = server.submit(r#"{"kind": "sleep", "input": {"seconds": 60}}"#);
    server.running(&job);
    let mut follow = raincheck(&["follow", &job, "--server", &server.url()]);
    let mut child = follow.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::INT).unwrap();
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(130));
    let said = String::from_utf8_lossy(&ended.stderr).replace(&job, "ID").replace(&server.url(), "URL");
    insta::assert_snapshot!(said);
    assert_eq!(server.job(&job)["state"], "running");
}
