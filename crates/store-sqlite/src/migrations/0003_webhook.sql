-- Who is told of a job: JSON, if somebody is.
ALTER TABLE accepted ADD COLUMN webhook TEXT;

-- The ends of jobs that webhooks are to be told, and those that were.
CREATE TABLE delivery (
    key INTEGER PRIMARY KEY,
    endpoint TEXT NOT NULL,
    state INTEGER NOT NULL, -- 0 pending, 1 delivered, 2 given up
    due_at INTEGER, -- while it is pending
    tries INTEGER NOT NULL,
    last_at INTEGER,
    last_answer TEXT,
    taken_by TEXT -- the worker that has taken it and not said yet what became of it
) STRICT;

CREATE INDEX delivery_pending ON delivery (endpoint, due_at) WHERE due_at IS NOT NULL;

-- Has as many rows as are being delivered.
CREATE INDEX delivery_taken ON delivery (taken_by) WHERE taken_by IS NOT NULL;

-- What a tenant's webhooks are signed with.
CREATE TABLE webhook_secret (
    tenant TEXT PRIMARY KEY,
    current BLOB NOT NULL,
    previous BLOB,
    previous_until INTEGER
) STRICT, WITHOUT ROWID;
