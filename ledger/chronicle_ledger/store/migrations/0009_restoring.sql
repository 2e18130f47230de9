-- That a backup is being put back, or was and is not proven yet. While the row is there, no replica is ready.

CREATE TABLE IF NOT EXISTS restoring (
    id INT2 PRIMARY KEY,
    backup TEXT NOT NULL,
    since TIMESTAMPTZ NOT NULL
);
