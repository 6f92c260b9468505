//! What was acknowledged is there after the process was killed (`kill -9`), whatever it was doing.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use crate::child;
use crate::child::{START, accept, claim, finish, open};
use raincheck_core::JobId;
use raincheck_store::{Acceptance, Store};
use tokio::task::JoinSet;

const ROUNDS: usize = 5;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_acknowledged_survives_kill_9() {
    if let Some(directory) = child::directory() {
        return accept_until_killed(&directory).await;
    }
    let directory = tempfile::tempdir().unwrap();
    // What is known of each job: whether it has ended.
    let mut known = BTreeMap::<JobId, bool>::new();
    for round in 0..ROUNDS {
        let mut child = child::command("kill::everything_acknowledged_survives_kill_9", directory.path());
        let mut process = child.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut heard = 0;
        while let Some(Ok(line)) = lines.next() {
            heard += usize::from(note(&line, &mut known));
            if heard == 300 + 100 * round {
                process.kill().unwrap();
            }
        }
        process.wait().unwrap();
        assert!(heard >= 300 + 100 * round, "the child ended early, after {heard} jobs");
        check(directory.path(), &known).await;
    }
}

/// Reads what the child says after it was answered; other lines are those of the test runner.
fn note(line: &str, known: &mut BTreeMap<JobId, bool>) -> bool {
    let mut words = line.split_whitespace();
    match (words.next(), words.next().and_then(|id| id.parse().ok())) {
        (Some("accepted"), Some(id)) => known.insert(id, false).is_none(),
        (Some("finished"), Some(id)) => known.insert(id, true).is_some(),
        _ => false,
    }
}

async fn check(path: &Path, known: &BTreeMap<JobId, bool>) {
    let store = open(path).await;
    for (id, ended) in known {
        let page = store.read_log(*id, None, 0, 1_000).await.unwrap();
        let page = page.unwrap_or_else(|| panic!("{id} was acknowledged and is gone"));
        assert!(page.ended || !ended, "{id} had ended and runs again");
        let numbers: Vec<u64> = page.events.iter().map(|event| event.seq).collect();
        assert_eq!(numbers, (1..=page.last_seq).collect::<Vec<_>>());
    }
    store.close().await.unwrap();
}

async fn accept_until_killed(directory: &Path) {
    let store = Arc::new(open(directory).await);
    let mut tasks = JoinSet::new();
    for _ in 0..16 {
        tasks.spawn(submit(Arc::clone(&store)));
    }
    tasks.spawn(work(Arc::clone(&store)));
    // Should the parent be gone, so are we.
    tokio::time::sleep(Duration::from_secs(60)).await;
}

fn say(word: &str, id: JobId) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{word} {id}").unwrap();
    out.flush().unwrap();
}

async fn submit(store: Arc<impl Store>) {
    loop {
        for answer in accept(&*store, 1).await.unwrap() {
            let Acceptance::New(job) = answer else { panic!("{answer:?}") };
            say("accepted", job.id);
        }
    }
}

async fn work(store: Arc<impl Store>) {
    loop {
        for claimed in claim(&*store, 5, START).await.unwrap() {
            let id = claimed.job.id;
            finish(&*store, claimed, START).await.unwrap().unwrap();
            say("finished", id);
        }
    }
}
