//! Promise: if a write or a sync fails, nobody is told that their job is accepted, nor that it is not: the outcome is
//! unknown. The server then stops with a message rather than guess, and after a restart the same request under the same
//! key gives exactly one job.

use super::job;
use super::server::{Launch, Tracer};
use super::trial::rounds;
use crate::support::Place;

/// What the process ends with when only a restart can tell what is stored.
const STORE_FAILED: i32 = 13;
const BODY: &str = r#"{"kind": "echo", "input": "precious"}"#;

struct Case {
    /// Which system calls fail.
    calls: &'static str,
    error: &'static str,
    /// From which one on.
    from: u32,
}

fn cases() -> Vec<Case> {
    let syncs = (1..=2).map(|from| Case { calls: "fdatasync,fsync", error: "EIO", from });
    let writes = (1..=4).map(|from| Case { calls: "pwrite64", error: "EIO", from });
    syncs.chain(writes).collect()
}

#[test]
fn after_a_failed_write_or_sync_the_server_stops_and_a_retry_gives_one_job() {
    for round in 0..rounds(1) {
        for Case { calls, error, from } in cases() {
            let case = format!("{calls} fails with {error} from number {from} on, round {round}");
            let place = Place::new();
            let mut server = Launch::at(&place).start();
            let before = server.http().submit("before", BODY).expect("an answer").id();
            job::ended(&mut server.http(), &before);
            let inject = format!("inject={calls}:error={error}:when={from}+");
            let tracer = Tracer::attach(&server, &["-e", &format!("trace={calls}"), "-e", &inject]);
            // Commits before the failing call may still succeed; one of these meets it, or comes too late.
            let (mut answered, mut rejected) = (Vec::new(), false);
            let mut http = server.http();
            let failed_at = (0..50).find(|number| match http.submit(&format!("key-{number}"), BODY) {
                Ok(answer) if answer.status == 202 => {
                    answered.push(answer.id());
                    false
                }
                // A write of the engine's own failed before, and so surely nothing was done.
                Ok(answer) if answer.problem() == "shutting-down" => {
                    assert_eq!((answer.status, answer.outcome().as_str()), (503, "rejected"), "{case}: {answer}");
                    rejected = true;
                    true
                }
                Ok(answer) => {
                    assert_eq!(
                        (answer.status, answer.problem().as_str()),
                        (500, "outcome-unknown"),
                        "{case}: {answer}"
                    );
                    assert_eq!(answer.outcome(), "unknown", "{case}");
                    true
                }
                // The process was gone before the answer: just as unknown.
                Err(_) => true,
            });
            let failed_at = failed_at.unwrap_or_else(|| panic!("{case}: the failure was not noticed"));
            let status = server.wait();
            tracer.detach();
            assert_eq!(status.code(), Some(STORE_FAILED), "{case}; it logged:\n{}", server.log());
            assert!(server.log().contains("whether it is stored is unknown"), "{case}; it logged:\n{}", server.log());

            server.start_again();
            let mut http = server.http();
            let there = job::all(&mut http);
            for id in answered.iter().chain([&before]) {
                assert!(there.binary_search(id).is_ok(), "{case}: {id} was accepted and is lost");
            }
            let id = http.submit(&format!("key-{failed_at}"), BODY).expect("an answer").id();
            assert_eq!(http.submit(&format!("key-{failed_at}"), BODY).expect("an answer").id(), id);
            job::check_ended(&mut http, &id);
            let jobs = job::all(&mut http);
            assert_eq!(
                jobs.len(),
                answered.len() + 2,
                "{case}: the one before, the answered ones, and one for the key"
            );
            let (stored, told) = (there.len() == jobs.len(), if rejected { "rejected" } else { "unknown" });
            assert!(!(rejected && stored), "{case}: told as surely not stored, and it was");
            println!("{case}: told as {told}, {}", if stored { "was stored" } else { "was not stored" });
        }
    }
}
