//! A full disk refuses new jobs, lets those that run finish, loses nothing, and is forgotten when there is room again.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use crate::child::{START, accept, claim, finish, job, open};
use raincheck_core::{JobId, State};
use raincheck_store::{Acceptance, Silent, Store, StoreError};
use raincheck_store_sqlite::{Options, SqliteStore};

/// A file system of a few megabytes, for as long as this lives.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount(size: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(directory.path());
        let status = mount.status().expect("mount is needed for this test");
        assert!(status.success(), "this test mounts a small file system, which needs root");
        Self(directory)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.path()).status();
    }
}

async fn fill(store: &SqliteStore) -> Vec<JobId> {
    let mut ids = Vec::new();
    loop {
        let jobs = vec![job(30_000)];
        match store.accept(jobs, START).await {
            Ok(answers) => ids.extend(answers.into_iter().map(id_of)),
            Err(error) => {
                assert_eq!(error, StoreError::Full);
                return ids;
            }
        }
        assert!(ids.len() < 10_000, "the disk is never full");
    }
}

fn id_of(acceptance: Acceptance) -> JobId {
    match acceptance {
        Acceptance::New(job) => job.id,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn below_the_reserve_new_jobs_are_refused_and_running_ones_finish() {
    // Small enough that nothing is moved into the database yet: that takes room for what the WAL still has, which a reserve
    // of this size is not for (the usual one is larger than the WAL becomes).
    let disk = SmallDisk::mount("20m");
    let options = Options { free_space_min: 8 << 20, ..Options::new(disk.path()) };
    let store = SqliteStore::open(options, Arc::new(Silent)).await.unwrap();
    let ids = fill(&store).await;
    let claimed = claim(&store, 5, START).await.unwrap();
    assert_eq!(claimed.len(), 5);
    for claimed in claimed {
        assert_eq!(finish(&store, claimed, START).await.unwrap().unwrap().state, State::Completed);
    }
    assert_eq!(store.accept(vec![job(1)], START).await, Err(StoreError::Full));
    for id in ids {
        assert!(store.get(id, None).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn a_disk_that_is_full_to_the_last_page_loses_nothing_and_recovers_by_itself() {
    let disk = SmallDisk::mount("16m");
    let ballast = disk.path().join("ballast");
    std::fs::write(&ballast, vec![0; 4 << 20]).unwrap();
    let store = open(disk.path()).await;
    let ids = fill(&store).await;
    assert!(!ids.is_empty());
    let waiting = store.waiting();
    assert_eq!(waiting, ids.len());
    // The memory still is what the tables are.
    assert_eq!(store.accept(vec![job(30_000)], START).await, Err(StoreError::Full));
    assert_eq!(store.waiting(), waiting);
    std::fs::remove_file(&ballast).unwrap();
    let claimed = claim(&store, 3, START).await.unwrap();
    assert_eq!(claimed.iter().map(|claimed| claimed.job.id).collect::<Vec<_>>(), ids[..3]);
    for claimed in claimed {
        finish(&store, claimed, START).await.unwrap().unwrap();
    }
    let more = accept(&store, 2).await.unwrap();
    assert_eq!(more.len(), 2);
    store.close().await.unwrap();
    drop(store);
    let store = open(disk.path()).await;
    for id in ids.iter().copied().chain(more.into_iter().map(id_of)) {
        assert!(store.get(id, None).await.unwrap().is_some());
    }
    assert_eq!(store.waiting(), ids.len() - 3 + 2);
}
