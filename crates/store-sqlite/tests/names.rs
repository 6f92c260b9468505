//! Names are never forgotten, so there may be only so many.

use std::sync::Arc;

use raincheck_core::{Backoff, Json, Priority, Spec, Time};
use raincheck_store::{Acceptance, Filter, NewJob, Silent, Store, StoreError};
use raincheck_store_sqlite::{Options, SqliteStore};

const START: Time = Time::from_millis(1_800_000_000_000);

fn job(name: &str) -> NewJob {
    let spec = Spec {
        kind: name.parse().unwrap(),
        queue: name.parse().unwrap(),
        priority: Priority::default(),
        tenant: "default".parse().unwrap(),
        labels: [].into(),
        created_at: START,
        run_at: START,
        max_attempts: 3,
        timeout_ms: 60_000,
        deadline: None,
        backoff: Backoff { base_ms: 1_000, cap_ms: 8_000 },
        retention_ms: 3_600_000,
        retry_of: None,
        turn: None,
        parent: None,
        concurrency_key: None,
        webhook: None,
        lane: None,
    };
    NewJob { spec: Arc::new(spec), input: Json::default(), random: 1, idempotency: None, turn: None }
}

fn is_new(answer: &Result<Vec<Acceptance>, StoreError>) -> bool {
    answer.as_ref().is_ok_and(|accepted| accepted.iter().all(|accepted| matches!(accepted, Acceptance::New(_))))
}

#[tokio::test]
async fn beyond_the_bound_only_jobs_with_new_names_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let open = || SqliteStore::open(Options::new(directory.path().join("data")), Arc::new(Silent));
    let store = open().await.unwrap();
    // With the name of the tenant these are 99,999.
    for batch in 0..50 {
        let names = (batch * 2_000..(batch + 1) * 2_000).take_while(|number| *number < 99_998);
        assert!(is_new(&store.accept(names.map(|number| job(&format!("n{number}"))).collect(), START).await));
    }
    let jobs = |names: &[&str]| names.iter().map(|name| job(name)).collect::<Vec<_>>();
    assert_eq!(store.accept(jobs(&["n1", "x", "y"]), START).await, Err(StoreError::OVERLOADED));
    assert!(is_new(&store.accept(jobs(&["x", "x", "n1"]), START).await));
    assert_eq!(store.accept(jobs(&["y"]), START).await, Err(StoreError::OVERLOADED));
    store.close().await.unwrap();
    drop(store);
    let store = open().await.unwrap();
    assert_eq!(store.accept(jobs(&["y"]), START).await, Err(StoreError::OVERLOADED));
    assert!(is_new(&store.accept(jobs(&["x"]), START).await));
    let named = |name: &str| Filter { kind: Some(name.parse().unwrap()), ..Filter::default() };
    assert_eq!(store.list(named("x"), 9, START).await.unwrap().jobs.len(), 3);
    assert_eq!(store.list(named("y"), 9, START).await.unwrap().jobs.len(), 0);
}
