//! What cannot be opened says why.

use std::path::Path;
use std::sync::Arc;

use crate::child::{START, accept, open};
use raincheck_core::Time;
use raincheck_store::{Acceptance, ApiKey, Scope, Silent, Store, StoreError};
use raincheck_store_sqlite::{Keys, OpenError, Options, SqliteStore};

async fn refusal(path: &Path) -> OpenError {
    match SqliteStore::open(Options::new(path), Arc::new(Silent)).await {
        Ok(_) => panic!("it opened"),
        Err(error) => error,
    }
}

#[tokio::test]
async fn a_directory_in_use_is_refused_with_the_pid_of_who_uses_it() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    let OpenError::Locked { pid, .. } = refusal(directory.path()).await else { panic!("not locked") };
    assert_eq!(pid, std::process::id().to_string());
    drop(store);
    open(directory.path()).await;
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()).await);
    sql(directory.path(), "PRAGMA user_version = 999");
    let error = refusal(directory.path()).await;
    assert!(matches!(error, OpenError::Newer { found: 999, .. }), "{error:?}");
    assert!(Keys::open(directory.path()).is_err());
}

/// As a server left it that knew no webhooks.
#[tokio::test]
async fn an_older_schema_is_brought_up_to_date_and_nothing_is_lost() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    let Some(Acceptance::New(job)) = accept(&store, 1).await.unwrap().pop() else { panic!("not new") };
    drop(store);
    for old in [
        "DROP TABLE conversation",
        "DROP TABLE conversation_count",
        "DROP TABLE message",
        "DROP TABLE summary",
        "ALTER TABLE accepted DROP COLUMN turn",
        "ALTER TABLE accepted DROP COLUMN parent",
        "ALTER TABLE live DROP COLUMN concurrency_key",
        "ALTER TABLE accepted DROP COLUMN concurrency_key",
        "DROP TABLE delivery",
        "DROP TABLE webhook_secret",
        "ALTER TABLE accepted DROP COLUMN webhook",
        "PRAGMA user_version = 2",
    ] {
        sql(directory.path(), old);
    }
    let store = open(directory.path()).await;
    assert_eq!(store.get(job.id, None).await.unwrap(), Some(job));
    let tenant = "default".parse().unwrap();
    assert_eq!(store.webhook_secrets(&tenant, [7; 32]).await.unwrap().current, [7; 32]);
}

#[tokio::test]
async fn the_database_of_another_program_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    sql(directory.path(), "CREATE TABLE recipes (name TEXT)");
    let error = refusal(directory.path()).await;
    assert!(matches!(error, OpenError::Foreign { .. }), "{error:?}");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_told() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("raincheck.db"), "not a database at all".repeat(1_000)).unwrap();
    assert!(matches!(refusal(directory.path()).await, OpenError::Database(_)));
}

#[tokio::test]
async fn a_file_that_was_cut_off_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    accept(&store, 2_000).await.unwrap();
    store.close().await.unwrap();
    drop(store);
    let database = std::fs::OpenOptions::new().write(true).open(directory.path().join("raincheck.db")).unwrap();
    database.set_len(database.metadata().unwrap().len() / 2).unwrap();
    assert!(matches!(refusal(directory.path()).await, OpenError::Database(_)));
}

#[tokio::test]
async fn a_damaged_row_is_told_and_never_served() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    let [Acceptance::New(bad), Acceptance::New(good)] = &accept(&store, 2).await.unwrap()[..] else {
        panic!("not new")
    };
    store.close().await.unwrap();
    drop(store);
    let key = bad.id.key().as_i64();
    sql(directory.path(), &format!("UPDATE accepted SET input = '{{\"cut\": ', labels = '[' WHERE key = {key}"));
    let store = open(directory.path()).await;
    assert!(matches!(store.input(bad.id).await, Err(StoreError::Unreadable(_))));
    assert!(matches!(store.get(bad.id, None).await, Err(StoreError::Unreadable(_))));
    assert!(store.get(good.id, None).await.unwrap().is_some());
}

#[tokio::test]
async fn keys_can_be_added_and_revoked_beside_a_running_server() {
    let directory = tempfile::tempdir().unwrap();
    let key = |id: &str| ApiKey {
        id: id.into(),
        hash: [1; 32],
        tenant: "default".parse().unwrap(),
        scopes: vec![Scope::Admin],
        created_at: START,
        expires_at: None,
    };
    // Before the first start of a server, and while one runs.
    Keys::open(directory.path()).unwrap().add(&key("first")).unwrap();
    let store = open(directory.path()).await;
    let mut keys = Keys::open(directory.path()).unwrap();
    keys.add(&key("second")).unwrap();
    assert_eq!(store.key("second").await.unwrap(), Some(key("second")));
    accept(&store, 1).await.unwrap();
    assert!(keys.revoke("first", Time::from_millis(5)).unwrap());
    assert!(!keys.revoke("third", START).unwrap());
    assert_eq!(store.key("first").await.unwrap().unwrap().expires_at, Some(Time::from_millis(5)));
    assert_eq!(keys.list().unwrap().len(), 2);
    accept(&store, 1).await.unwrap();
}

/// Does something to the database, as somebody might who should not.
fn sql(directory: &Path, statement: &str) {
    let connection = rusqlite::Connection::open(directory.join("raincheck.db")).unwrap();
    connection.execute_batch(statement).unwrap();
}
