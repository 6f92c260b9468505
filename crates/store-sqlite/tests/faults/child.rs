//! Stores in processes that something happens to, and what is done with them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use raincheck_core::{
    Backoff, Dice, Ending, Json, Life, Openings, Priority, Refusal, Spec, Tenant, Time, Want, WorkerId,
};
use raincheck_store::{Acceptance, ClaimRequest, Claimed, Finish, NewJob, Silent, Store, StoreError};
use raincheck_store_sqlite::{Options, SqliteStore};

pub(crate) const START: Time = Time::from_millis(1_800_000_000_000);

const DIRECTORY: &str = "RAINCHECK_TEST_DIRECTORY";

/// Runs a test of this program in a process of its own, where [`directory`] tells it that it is the child.
pub(crate) fn command(test: &str, directory: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]).env(DIRECTORY, directory);
    command
}

/// The directory that the child was given; `None` in the test itself.
pub(crate) fn directory() -> Option<PathBuf> {
    std::env::var_os(DIRECTORY).map(PathBuf::from)
}

pub(crate) async fn open(path: &Path) -> SqliteStore {
    SqliteStore::open(Options { free_space_min: 0, ..Options::new(path) }, Arc::new(Silent)).await.unwrap()
}

pub(crate) fn job(bytes: usize) -> NewJob {
    let spec = Spec {
        kind: "echo".parse().unwrap(),
        queue: "echo".parse().unwrap(),
        priority: Priority::default(),
        tenant: Tenant::default(),
        labels: [].into(),
        created_at: START,
        run_at: START,
        max_attempts: 3,
        timeout_ms: 60_000,
        deadline: None,
        backoff: Backoff::default(),
        retention_ms: 3_600_000,
        retry_of: None,
        turn: None,
        parent: None,
        concurrency_key: None,
        webhook: None,
        lane: None,
    };
    let input = Json::from(serde_json::json!("x".repeat(bytes)));
    NewJob { spec: Arc::new(spec), input, random: 42, idempotency: None, turn: None }
}

pub(crate) async fn accept(store: &impl Store, count: usize) -> Result<Vec<Acceptance>, StoreError> {
    store.accept((0..count).map(|_| job(512)).collect(), START).await
}

pub(crate) async fn claim(store: &impl Store, max: usize, now: Time) -> Result<Vec<Claimed>, StoreError> {
    let wants = vec![Want { kind: "echo".parse().unwrap(), max, openings: Openings::default() }];
    let request = ClaimRequest { worker: WorkerId::new("w1"), wants, max, lease: Duration::from_secs(30) };
    Ok(store.claim(request, now).await?.jobs)
}

pub(crate) async fn finish(
    store: &impl Store,
    claimed: Claimed,
    now: Time,
) -> Result<Result<Life, Refusal>, StoreError> {
    let Claimed { job, .. } = claimed;
    let ending = Ending::Completed(Json::from(serde_json::json!({"done": true})));
    let finish = Finish {
        job: job.id,
        fence: job.life.fence,
        notes: Vec::new(),
        ending,
        dice: Dice(0),
        besides: Default::default(),
    };
    Ok(store.finish(vec![finish], now).await?.pop().unwrap())
}
