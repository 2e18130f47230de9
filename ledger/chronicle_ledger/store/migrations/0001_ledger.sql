-- The ledger. Runs on CockroachDB from 20.1 and on PostgreSQL; rules that both keep: docs/schema.md.
-- Amounts are signed minor units. Versions are dense from 1, so a missing entry shows. Metadata and details are
-- canonical JSON in TEXT, not JSONB: the hash of a transaction covers them byte for byte, and JSONB rewrites numbers.

CREATE TABLE IF NOT EXISTS account (
    id UUID PRIMARY KEY,
    currency TEXT NOT NULL,
    kind TEXT NOT NULL,
    balance INT8 NOT NULL DEFAULT 0,
    held INT8 NOT NULL DEFAULT 0,
    floor INT8,
    version INT8 NOT NULL,
    status TEXT NOT NULL,
    head BYTEA NOT NULL,
    metadata TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT account_floor CHECK (floor IS NULL OR balance - held >= floor),
    CONSTRAINT account_held CHECK (held >= 0),
    CONSTRAINT account_status CHECK (status IN ('open', 'frozen', 'closed'))
);

-- The primary key is the idempotency key: posting the same request twice is impossible, not merely checked for.
CREATE TABLE IF NOT EXISTS txn (
    id UUID PRIMARY KEY,
    fingerprint BYTEA NOT NULL,
    kind TEXT NOT NULL,
    reverses UUID,
    hold_id UUID,
    effective_at TIMESTAMPTZ NOT NULL,
    posted_at TIMESTAMPTZ NOT NULL,
    metadata TEXT NOT NULL,
    details TEXT NOT NULL,
    hash BYTEA NOT NULL
);

-- Makes a second reversal impossible. A table of its own, because a unique index on txn.reverses would be written by
-- every transaction although hardly any is a reversal, and partial indexes came to CockroachDB after 20.1.
CREATE TABLE IF NOT EXISTS reversal (
    reverses UUID PRIMARY KEY,
    txn_id UUID NOT NULL
);

CREATE TABLE IF NOT EXISTS entry (
    account_id UUID NOT NULL,
    version INT8 NOT NULL,
    txn_id UUID NOT NULL,
    currency TEXT NOT NULL,
    amount INT8 NOT NULL,
    held INT8 NOT NULL,
    balance_after INT8 NOT NULL,
    held_after INT8 NOT NULL,
    posted_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (account_id, version)
);
CREATE INDEX IF NOT EXISTS entry_txn ON entry (txn_id);

CREATE TABLE IF NOT EXISTS hold (
    id UUID PRIMARY KEY,
    account_id UUID NOT NULL,
    destination_id UUID,
    amount INT8 NOT NULL,
    captured INT8 NOT NULL DEFAULT 0,
    state TEXT NOT NULL,
    expires_at TIMESTAMPTZ,
    expiry_shard INT2 NOT NULL,
    CONSTRAINT hold_state CHECK (state IN ('pending', 'captured', 'released', 'expired'))
);
-- A shard leads, so that no index has time at its head (which would make one hot range on CockroachDB).
CREATE INDEX IF NOT EXISTS hold_expiry ON hold (expiry_shard, state, expires_at);

-- One row a transaction, gone once JetStream has acknowledged it. The payload is the message, byte for byte.
CREATE TABLE IF NOT EXISTS outbox (
    shard INT2 NOT NULL,
    id UUID NOT NULL,
    payload TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (shard, id)
);
