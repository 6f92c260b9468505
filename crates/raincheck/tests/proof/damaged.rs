//! Promise: a damaged data directory is refused with a message, or what is damaged is answered with an error; a job is
//! never served as something that it is not.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use rand::RngExt;
use serde_json::Value;

use super::job;
use super::server::Launch;
use super::trial::{chance, rounds};
use crate::support::Place;

/// What the process ends with when the data directory cannot be used.
const DATA_DIRECTORY: i32 = 11;
const PAGE: usize = 4_096;

fn database(place: &Place) -> PathBuf {
    place.data().join("raincheck.db")
}

/// A data directory with jobs, closed in order; gives each job as it was served.
fn jobs(place: &Place) -> Vec<Value> {
    let mut server = Launch::at(place).start();
    let mut http = server.http();
    let submitted: Vec<String> = (0..60)
        .map(|number| {
            let body = format!(r#"{{"kind": "echo", "input": {{"number": {number}, "text": "{:=>500}"}}}}"#, "");
            http.submit(&format!("key-{number}"), &body).expect("an answer").id()
        })
        .collect();
    let jobs = submitted.iter().map(|id| job::ended(&mut http, id)).collect();
    drop(http);
    server.stop();
    jobs
}

fn refused(place: &Place, what: &str, says: &str) {
    let (status, log) = Launch::at(place).refused();
    assert_eq!(status.code(), Some(DATA_DIRECTORY), "{what}; it logged:\n{log}");
    let last = log.lines().rev().find(|line| line.contains("error:")).unwrap_or_default();
    assert!(last.contains(says), "{what}: the message should say {says:?}: {last}");
    println!("{what}: {last}");
}

#[test]
fn what_is_no_database_of_ours_is_refused() {
    let place = Place::new();
    jobs(&place);
    let whole = fs::read(database(&place)).expect("read the database");
    let damage = |at: usize, bytes: &[u8]| {
        let mut damaged = whole.clone();
        damaged[at..at + bytes.len()].copy_from_slice(bytes);
        fs::write(database(&place), damaged).expect("write the database");
    };
    damage(0, b"This is not an SQLite database at all.");
    refused(&place, "another file", "not a database");
    // The header's fields are described at https://sqlite.org/fileformat.html.
    damage(68, &0x1234_5678_u32.to_be_bytes());
    refused(&place, "another program's database", "not a database of Raincheck");
    damage(60, &9_999_u32.to_be_bytes());
    refused(&place, "a newer version's database", "9999");
    damage(100, &[0xFF; 64]);
    refused(&place, "a broken schema", "");
    fs::write(database(&place), &whole[..PAGE / 2]).expect("write the database");
    refused(&place, "half a page", "");
    fs::write(database(&place), &whole).expect("write the database");
    Launch::at(&place).start();
}

/// Overwrites whole pages with noise. Noise in the text of a payload is not found out (docs/promises.md says so), but
/// whatever is found out must be an error, and never another job, another state or "no such job".
#[test]
fn a_page_of_noise_is_an_error_and_never_another_answer() {
    let place = Place::new();
    let jobs = jobs(&place);
    let whole = fs::read(database(&place)).expect("read the database");
    let mut chance = chance(13);
    let (mut refusals, mut errors, mut right) = (0, 0, 0);
    let trials = rounds(12);
    for _ in 0..trials {
        fs::write(database(&place), &whole).expect("write the database");
        let page = chance.random_range(1..whole.len() / PAGE);
        let noise: Vec<u8> = (0..PAGE).map(|_| chance.random()).collect();
        let file = fs::File::options().write(true).open(database(&place)).expect("open the database");
        file.write_all_at(&noise, (page * PAGE) as u64).expect("write the noise");
        let _ = fs::remove_file(place.data().join("raincheck.db-wal"));
        let Some(server) = Launch::at(&place).start_or_refusal(DATA_DIRECTORY) else {
            refusals += 1;
            continue;
        };
        let mut http = server.http();
        for job in &jobs {
            let id = job["id"].as_str().expect("an id");
            let answer = http.get(&format!("/v1/jobs/{id}")).expect("an answer");
            match answer.status {
                200 => {
                    assert_eq!(answer.json(), *job, "page {page}");
                    right += 1;
                }
                500 => {
                    assert_eq!(answer.problem(), "internal", "page {page}: {answer}");
                    errors += 1;
                }
                _ => panic!("page {page}: {answer}"),
            }
        }
    }
    println!("{trials} trials: {refusals} refusals to start; {errors} errors and {right} right answers otherwise");
}

#[test]
fn a_second_server_on_the_same_directory_is_refused() {
    let place = Place::new();
    let server = Launch::at(&place).start();
    refused(&place, "a directory in use", &format!("{}", server.pid().as_raw_nonzero()));
    assert_eq!(server.http().get("/healthz").expect("an answer").status, 200);
}
