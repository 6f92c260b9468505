//! A sync that fails leaves open what is on the disk: callers are told so, the store stops, and a restart finds out.

use std::path::Path;
use std::process::Command;

use crate::child;
use crate::child::{accept, claim, open};
use raincheck_store::{Acceptance, Outcome, Store, StoreError};

#[tokio::test]
async fn a_failed_sync_is_an_unknown_outcome_and_the_end() {
    if let Some(directory) = child::directory() {
        return accept_while_syncs_fail(&directory).await;
    }
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    assert!(matches!(&accept(&store, 1).await.unwrap()[..], [Acceptance::New(_)]));
    store.close().await.unwrap();
    let child = child::command("sync_fails::a_failed_sync_is_an_unknown_outcome_and_the_end", directory.path());
    let mut strace = Command::new("strace");
    // Only once the child says so by making a file; before that it must be able to open the store.
    strace.args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync,fsync"]);
    strace.args(["-e", "inject=fdatasync,fsync:error=EIO:when=6+", "--"]);
    strace.arg(child.get_program()).args(child.get_args());
    strace.envs(child.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = strace.output().expect("strace is needed for this test: apt-get install strace");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("all as it should be"), "{said}\n{output:?}");
    // Whatever was unknown: what is there now is whole, and the store works.
    let store = open(directory.path()).await;
    let page = store.list(Default::default(), 100, child::START).await.unwrap();
    for job in &page.jobs {
        assert!(store.read_log(job.id, None, 0, 10).await.unwrap().is_some());
    }
    assert_eq!(store.waiting(), page.jobs.len());
    assert!(page.jobs.len() >= 2, "{page:?}");
    assert!(accept(&store, 1).await.is_ok());
}

async fn accept_while_syncs_fail(directory: &Path) {
    let store = open(directory).await;
    let error = loop {
        match accept(&store, 1).await {
            Ok(answers) => assert!(matches!(&answers[..], [Acceptance::New(_)])),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, StoreError::Unknown(_)), "{error:?}");
    assert_eq!(error.outcome(), Outcome::Unknown);
    // It has stopped by itself, and says so to whoever would end the process.
    assert!(!store.failed().await.is_empty());
    assert_eq!(accept(&store, 1).await, Err(StoreError::Stopped));
    assert_eq!(claim(&store, 1, child::START).await.unwrap_err(), StoreError::Stopped);
    store.close().await.unwrap();
    println!("all as it should be");
}
