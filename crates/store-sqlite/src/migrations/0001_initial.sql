-- Every key of a job is the first 60 bits of its UUIDv7 (raincheck_core::JobKey): it only grows, so that every table is
-- written at its end. Names of queues, kinds and tenants are numbers of `name`. Times are milliseconds since 1970, UTC.

CREATE TABLE name (
    id INTEGER PRIMARY KEY, -- counts from 1 without gaps
    name TEXT NOT NULL
) STRICT;

-- What was asked for. Never changes; it is also the first event of the job's log.
CREATE TABLE accepted (
    key INTEGER PRIMARY KEY,
    random INTEGER NOT NULL, -- the low 62 bits of the id
    queue INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    tenant INTEGER NOT NULL,
    priority INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    accepted_at INTEGER, -- if not created_at
    run_at INTEGER NOT NULL,
    max_attempts INTEGER NOT NULL,
    timeout_ms INTEGER NOT NULL,
    backoff_base_ms INTEGER NOT NULL,
    backoff_cap_ms INTEGER NOT NULL,
    retention_ms INTEGER NOT NULL,
    deadline INTEGER,
    retry_of TEXT,
    labels TEXT, -- JSON, if there are any
    input TEXT NOT NULL -- JSON
) STRICT;

-- A job that has not ended: the fold of its log, small, because it is what changes. The states: 0 scheduled, 1 queued,
-- 2 running, 3 waiting, 4 completed, 5 failed, 6 cancelled, 7 expired.
CREATE TABLE live (
    key INTEGER PRIMARY KEY,
    state INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    failures INTEGER NOT NULL,
    lease_losses INTEGER NOT NULL,
    fence INTEGER NOT NULL,
    run_at INTEGER NOT NULL,
    cancel_requested INTEGER NOT NULL,
    last_seq INTEGER NOT NULL,
    steps INTEGER NOT NULL,
    progress_seq INTEGER NOT NULL, -- the event that holds the current progress; 0 if there is none
    started_at INTEGER,
    first_worker TEXT, -- with started_at: the second event of the log, the first start
    worker TEXT,
    lease_until INTEGER,
    queue INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    tenant INTEGER NOT NULL,
    priority INTEGER NOT NULL,
    deadline INTEGER
) STRICT;

-- What happened after the first start and before the end.
CREATE TABLE event (
    key INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    at INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    type TEXT NOT NULL,
    data TEXT NOT NULL, -- JSON
    PRIMARY KEY (key, seq)
) STRICT, WITHOUT ROWID;

-- A job that has ended: the fold of its log, and the last event.
CREATE TABLE finished (
    key INTEGER PRIMARY KEY,
    state INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    failures INTEGER NOT NULL,
    lease_losses INTEGER NOT NULL,
    fence INTEGER NOT NULL,
    run_at INTEGER NOT NULL,
    cancel_requested INTEGER NOT NULL,
    last_seq INTEGER NOT NULL,
    steps INTEGER NOT NULL,
    progress_seq INTEGER NOT NULL,
    started_at INTEGER,
    first_worker TEXT,
    finished_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    outcome TEXT -- completed: the result, JSON; failed: the problem, JSON; cancelled: the reason
) STRICT;

-- Grows at few places, one for each retention in use: no index on random keys.
CREATE INDEX finished_expires_at ON finished (expires_at);

-- The idempotency keys in the order of acceptance, up to 100 in a row. They are looked up in memory.
CREATE TABLE idempotency (
    first INTEGER PRIMARY KEY, -- the job of the first entry
    last INTEGER NOT NULL, -- the job of the last entry
    entries BLOB NOT NULL -- 40 bytes each, big-endian: job (8), key (16), fingerprint (16)
) STRICT;

CREATE TABLE paused (
    queue TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;

CREATE TABLE api_key (
    id TEXT PRIMARY KEY,
    hash BLOB NOT NULL, -- SHA-256 of the secret
    tenant TEXT NOT NULL,
    scopes TEXT NOT NULL, -- words joined by spaces
    created_at INTEGER NOT NULL,
    expires_at INTEGER
) STRICT, WITHOUT ROWID;
