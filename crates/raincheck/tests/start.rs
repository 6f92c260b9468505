//! What keeps a server from starting, and what it says then.

use std::ffi::OsStr;
use std::net::{TcpListener, TcpStream};
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use rustix::process::Signal;

use crate::support::{Ended, Place, Server, raincheck, run};

fn serve(place: &Place, args: &[&str]) -> Ended {
    run(raincheck(&[&["serve"], args].concat()).current_dir(place.path()))
}

#[test]
fn nobody_else_may_reach_a_server_without_keys() {
    let place = Place::new();
    for store in ["memory", "sqlite"] {
        let refused = serve(&place, &["--listen", "0.0.0.0:0", "--data-dir", "data", "--store", store]);
        assert_eq!(refused.code, Some(12), "{refused:?}");
        assert!(refused.err.contains("refusing to listen on 0.0.0.0:0 without an API key"), "{}", refused.err);
    }
    run(raincheck(&["key", "create", "--scope", "read", "--data-dir", "data"]).current_dir(place.path()));
    Server::start_at(&place, "0.0.0.0:0", &[]).stop();
}

#[test]
fn a_data_directory_has_one_server() {
    let place = Place::new();
    let server = Server::start(&place, &[]);
    let refused = serve(&place, &["--listen", "127.0.0.1:0", "--data-dir", "data"]);
    assert_eq!(refused.code, Some(11), "{refused:?}");
    let pid = server.pid().as_raw_nonzero();
    assert!(refused.err.contains(&format!("in use by the process with pid {pid}")), "{}", refused.err);
    server.kill();
    Server::start(&place, &[]).stop();
}

#[test]
fn a_port_has_one_server() {
    let place = Place::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let refused = serve(&place, &["--listen", &address, "--data-dir", "data"]);
    assert_eq!(refused.code, Some(10));
    assert!(refused.err.contains(&format!("cannot listen on {address}: the port is in use")), "{}", refused.err);
    assert!(!place.data().exists(), "nothing is touched by a server that cannot listen");
}

#[test]
fn a_data_directory_that_cannot_be_made_is_told() {
    let place = Place::new();
    place.file("occupied", "");
    let refused = serve(&place, &["--listen", "127.0.0.1:0", "--data-dir", "occupied/data"]);
    assert_eq!(refused.code, Some(11));
    assert!(refused.err.contains("occupied/data cannot be used"), "{}", refused.err);
}

/// More than the kernel keeps waiting by default, none of which may be passed over.
#[test]
fn many_clients_that_come_at_once_are_all_let_in_at_once() {
    let place = Place::new();
    let server = Server::start(&place, &["--store", "memory"]);
    // Accepts nothing meanwhile.
    server.signal(Signal::STOP);
    let connect = |_| TcpStream::connect_timeout(&server.address, Duration::from_secs(30));
    let clients: Result<Vec<TcpStream>, _> = (0..500).map(connect).collect();
    server.signal(Signal::CONT);
    assert_eq!(clients.expect("all are let in").len(), 500);
}

#[test]
fn a_path_is_taken_as_it_is_given() {
    let place = Place::new();
    let odd = |name: &[u8]| place.path().join(OsStr::from_bytes(name));
    let (data, library, other) = (odd(b"data\xFF"), odd(b"library: one"), odd(b"two"));
    [&library, &other].into_iter().for_each(|root| std::fs::create_dir(root).unwrap());
    let mut command = raincheck(&["serve", "--listen", "127.0.0.1:0", "--data-dir"]);
    command.arg(&data).arg("--audio-root").arg(&library).arg("--audio-root").arg(&other);
    let server = Server::spawn(&place, command);
    for root in [library, other] {
        let input = serde_json::json!({"kind": "audio.scan", "input": {"path": root}});
        let job = server.ended(&server.submit(&input.to_string()));
        assert_eq!(job["state"], "completed", "{job}");
    }
    assert!(data.join("raincheck.db").exists());
    server.stop();
    assert_eq!(run(raincheck(&["key", "list", "--data-dir"]).arg(&data)).code, Some(0));
}
