//! Promise: on a full disk new jobs are refused as `storage-full` and surely not stored; what was accepted stays, what runs
//! finishes, the server lives, and takes jobs again by itself within ten seconds of there being room.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::http::{Answer, Http};
use super::job;
use super::server::{Launch, Server};
use super::trial::{now, within};
use crate::support::Place;

/// A small file system in memory. To be dropped after the server on it.
struct SmallDisk {
    path: PathBuf,
}

impl SmallDisk {
    fn mount(path: &Path, mebibytes: u32) -> Self {
        std::fs::create_dir_all(path).expect("make the mount point");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={mebibytes}m"), "raincheck-proof"]).arg(path);
        let status = mount.status().expect("run mount");
        assert!(status.success(), "this test mounts a small file system, which needs root: {status}");
        Self { path: path.to_owned() }
    }

    /// Takes up room that can be given back.
    fn ballast(&self, mebibytes: usize) {
        std::fs::write(self.path.join("ballast"), vec![1; mebibytes << 20]).expect("write the ballast");
    }

    /// Takes up all the room there is.
    fn fill(&self) {
        let mut file = std::fs::File::create(self.path.join("filling")).expect("make a file");
        let piece = [1; 4_096];
        while std::io::Write::write_all(&mut file, &piece).is_ok() {}
    }

    fn make_room(&self) {
        for name in ["ballast", "filling"] {
            let _ = std::fs::remove_file(self.path.join(name));
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: whatever still has a file open on it must not keep it.
        let _ = Command::new("umount").arg("-l").arg(&self.path).status();
    }
}

fn submit(http: &mut Http, number: usize) -> Answer {
    let padding = "x".repeat(60_000);
    let body = format!(r#"{{"kind": "echo", "input": "{padding}", "delay": 3600, "labels": {{"n": "{number}"}}}}"#);
    http.submit(&format!("fill-{number}"), &body).expect("an answer")
}

/// Submits until the disk is full; gives what was accepted.
fn fill_with_jobs(http: &mut Http, first: usize) -> Vec<String> {
    let mut accepted = Vec::new();
    for number in first..first + 2_000 {
        let answer = submit(http, number);
        match answer.status {
            202 => accepted.push(answer.id()),
            _ => {
                assert_eq!((answer.status, answer.problem().as_str()), (507, "storage-full"), "{answer}");
                assert_eq!(answer.outcome(), "rejected");
                return accepted;
            }
        }
    }
    panic!("the disk is never full");
}

fn accepts_again(http: &mut Http, number: usize) -> Duration {
    let start = now();
    within(Duration::from_secs(10), "it takes jobs again", || (submit(http, number).status == 202).then_some(()));
    start.elapsed()
}

fn check_nothing_lost(server: &Server, accepted: &[String]) {
    let mut http = server.http();
    let there = job::all(&mut http);
    let mut lost = accepted.iter().filter(|id| there.binary_search(id).is_err());
    assert_eq!(lost.next(), None, "an accepted job is lost");
    assert_eq!(there.len(), accepted.len(), "a refused job was stored");
    for id in accepted {
        job::check(&job::log(&mut http, id));
    }
}

/// With the reserve that is kept by default, in small: the disk never quite fills, and running jobs do not notice.
#[test]
fn jobs_are_refused_before_the_disk_is_full_and_running_ones_finish() {
    let place = Place::new();
    let disk = SmallDisk::mount(&place.path().join("disk"), 24);
    disk.ballast(8);
    let mut server = Launch::at(&place).on(&disk.path).with("STORE_FREE_SPACE_MIN", "4 MiB").start();
    let mut http = server.http();
    let running: Vec<String> = (0..20)
        .map(|_| http.submit("", r#"{"kind": "sleep", "input": {"seconds": 2}}"#).expect("an answer").id())
        .collect();
    let mut accepted = fill_with_jobs(&mut http, 0);
    accepted.extend(running.iter().cloned());
    assert_eq!(http.get("/healthz").expect("an answer").status, 200);
    for id in &running {
        assert_eq!(job::check_ended(&mut http, id)["state"], "completed");
    }
    assert_eq!(submit(&mut http, 9_998).status, 507, "still full");
    disk.make_room();
    let again = accepts_again(&mut http, 9_999);
    accepted.push(submit(&mut http, 9_999).id());
    check_nothing_lost(&server, &accepted);
    server.kill();
    server.start_again();
    check_nothing_lost(&server, &accepted);
    println!("refused after {} jobs; took jobs again {again:?} after there was room", accepted.len());
}

/// Without a reserve, so that SQLite itself runs into the end of the disk in the middle of its writes.
#[test]
fn a_disk_full_to_the_last_byte_loses_nothing_and_is_survived() {
    let place = Place::new();
    let disk = SmallDisk::mount(&place.path().join("disk"), 16);
    let mut server = Launch::at(&place).on(&disk.path).with("STORE_FREE_SPACE_MIN", "0").start();
    let mut http = server.http();
    let mut accepted: Vec<String> = (0..5).map(|number| submit(&mut http, 5_000 + number).id()).collect();
    let running = http.submit("", r#"{"kind": "sleep", "input": {"seconds": 1}}"#).expect("an answer").id();
    accepted.push(running.clone());
    within(Duration::from_secs(5), "it runs", || {
        (http.get(&format!("/v1/jobs/{running}")).expect("an answer").json()["state"] == "running").then_some(())
    });
    disk.fill();
    accepted.extend(fill_with_jobs(&mut http, 0));
    // Its end has nowhere to be written; that must neither be lost nor bring the server down.
    let job = http.get(&format!("/v1/jobs/{running}?wait=3")).expect("an answer").json();
    assert!(server.is_alive(), "the server ended and logged:\n{}", server.log());
    println!("with no room left, after its time the running job is {}", job["state"]);
    for id in &accepted {
        assert_eq!(http.get(&format!("/v1/jobs/{id}")).expect("an answer").status, 200, "reading needs no room");
    }
    disk.make_room();
    let again = accepts_again(&mut http, 9_999);
    accepted.push(submit(&mut http, 9_999).id());
    assert_eq!(job::check_ended(&mut http, &running)["state"], "completed");
    check_nothing_lost(&server, &accepted);
    server.kill();
    server.start_again();
    check_nothing_lost(&server, &accepted);
    println!("{} jobs accepted; took jobs again {again:?} after there was room", accepted.len());
}
