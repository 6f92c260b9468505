-- Who is told of a job: JSON, if somebody is.
ALTER TABLE accepted ADD COLUMN webhook TEXT;

-- The ends of jobs that webhooks are to be told, and those that were.
CREATE TABLE delivery (
    key INTEGER PRIMARY KEY,
    random INTEGER NOT NULL, -- the low 62 bits of the id
    endpoint TEXT NOT NULL, -- the tenant and the host, joined by a space
    state INTEGER NOT NULL, -- 0 pending, 1 delivered, 2 given up
    due_at INTEGER, -- while it is pending
    claim INTEGER NOT NULL, -- how often it was taken
    unheard INTEGER NOT NULL, -- how often since something was heard of it
    tries INTEGER NOT NULL, -- how often the endpoint was told
    last_at INTEGER,
    last_answer TEXT,
    taken_by TEXT -- the worker that has taken it and not said yet what became of it
) STRICT;

CREATE INDEX delivery_due ON delivery (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX delivery_of_endpoint ON delivery (endpoint, due_at) WHERE due_at IS NOT NULL;

-- Has as many rows as are being delivered.
CREATE INDEX delivery_taken ON delivery (taken_by) WHERE taken_by IS NOT NULL;

-- What a tenant's webhooks are signed with.
CREATE TABLE webhook_secret (
    tenant TEXT PRIMARY KEY,
    current BLOB NOT NULL,
    previous BLOB,
    previous_until INTEGER
) STRICT, WITHOUT ROWID;
