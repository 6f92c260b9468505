-- The turn of a conversation that a job gives: JSON, if it gives one.
ALTER TABLE accepted ADD COLUMN turn TEXT;

CREATE TABLE conversation (
    key INTEGER PRIMARY KEY, -- the first 60 bits of the id, as of jobs
    random INTEGER NOT NULL, -- the low 62 bits of the id
    tenant TEXT NOT NULL,
    metadata TEXT, -- JSON
    messages INTEGER NOT NULL,
    turns INTEGER NOT NULL, -- how many of them are of the user
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

CREATE INDEX conversation_of_tenant ON conversation (tenant, key);

-- How many each tenant has: to count them each time would take too long.
CREATE TABLE conversation_count (
    tenant TEXT PRIMARY KEY,
    conversations INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE message (
    conversation INTEGER NOT NULL,
    number INTEGER NOT NULL, -- counts from 1 without gaps
    key INTEGER NOT NULL, -- the two parts of the id
    random INTEGER NOT NULL,
    role INTEGER NOT NULL, -- 0 user, 1 assistant, 2 system
    state INTEGER NOT NULL, -- 0 processing, 1 completed, 2 failed, 3 cancelled, 4 expired
    content TEXT, -- JSON
    error TEXT, -- JSON
    metadata TEXT, -- JSON
    job_key INTEGER, -- the two parts of the id of the job that it belongs to, if any
    job_random INTEGER,
    created_at INTEGER NOT NULL,
    finished_at INTEGER,
    PRIMARY KEY (conversation, number)
) STRICT, WITHOUT ROWID;

-- Has as many rows as answers are awaited.
CREATE INDEX message_awaited ON message (conversation) WHERE state = 0;

CREATE TABLE summary (
    conversation INTEGER NOT NULL,
    up_to INTEGER NOT NULL, -- the number of the last message that it covers
    content TEXT NOT NULL, -- JSON
    created_at INTEGER NOT NULL,
    PRIMARY KEY (conversation, up_to)
) STRICT, WITHOUT ROWID;
