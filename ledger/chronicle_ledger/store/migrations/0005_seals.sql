-- Seals: what `chronicle seal` signed. The number is the gate: of two sealers at once, one writes it. Runs on
-- CockroachDB from 20.1 and on PostgreSQL: docs/seals.md.

-- `document` is the signed seal, as one line of JSON.
CREATE TABLE IF NOT EXISTS seal (
    number INT8 PRIMARY KEY,
    document TEXT NOT NULL
);

-- The accounts that a seal covers: those that changed since the seal before it.
CREATE TABLE IF NOT EXISTS sealed_account (
    number INT8 NOT NULL,
    account_id UUID NOT NULL,
    version INT8 NOT NULL,
    head BYTEA NOT NULL,
    PRIMARY KEY (number, account_id)
);
