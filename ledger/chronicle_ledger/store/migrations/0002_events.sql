-- Who does what, and the read model. Runs on CockroachDB from 20.1 and on PostgreSQL: docs/events.md.

-- A lease is one piece of work that one process does at a time (a shard of the outbox, the projection). Its times are
-- the database's, so the clocks of the processes never matter.
CREATE TABLE IF NOT EXISTS lease (
    name TEXT PRIMARY KEY,
    holder TEXT NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL
);

-- Which processes of a role are alive, so that each can take its share of the leases and no more.
CREATE TABLE IF NOT EXISTS worker (
    role TEXT NOT NULL,
    id TEXT NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (role, id)
);

-- Which generation of the read model is read and written. `rebuild` fills the next one and then changes this row.
CREATE TABLE IF NOT EXISTS view_current (
    id INT2 PRIMARY KEY,
    generation INT8 NOT NULL
);
INSERT INTO view_current (id, generation) VALUES (1, 1) ON CONFLICT (id) DO NOTHING;

CREATE TABLE IF NOT EXISTS account_view (
    generation INT8 NOT NULL,
    account_id UUID NOT NULL,
    currency TEXT NOT NULL,
    kind TEXT NOT NULL,
    balance INT8 NOT NULL,
    held INT8 NOT NULL,
    version INT8 NOT NULL,
    posted_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (generation, account_id)
);

CREATE TABLE IF NOT EXISTS statement_view (
    generation INT8 NOT NULL,
    account_id UUID NOT NULL,
    version INT8 NOT NULL,
    txn_id UUID NOT NULL,
    kind TEXT NOT NULL,
    amount INT8 NOT NULL,
    held INT8 NOT NULL,
    balance_after INT8 NOT NULL,
    held_after INT8 NOT NULL,
    effective_at TIMESTAMPTZ NOT NULL,
    posted_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (generation, account_id, version)
);

-- Days are UTC days of posting. A day's sums may pass 64 bits where its single amounts may not.
CREATE TABLE IF NOT EXISTS daily_view (
    generation INT8 NOT NULL,
    account_id UUID NOT NULL,
    day DATE NOT NULL,
    debits DECIMAL NOT NULL,
    credits DECIMAL NOT NULL,
    entries INT8 NOT NULL,
    closing_balance INT8 NOT NULL,
    PRIMARY KEY (generation, account_id, day)
);

-- Where the projection is: committed in the same transaction as what it projected.
CREATE TABLE IF NOT EXISTS projection (
    name TEXT PRIMARY KEY,
    stream_sequence INT8 NOT NULL,
    pending INT8 NOT NULL,
    posted_at TIMESTAMPTZ,
    applied INT8 NOT NULL,
    skipped INT8 NOT NULL,
    gaps INT8 NOT NULL,
    dead INT8 NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL
);
