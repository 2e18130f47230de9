-- Who posted each transaction: the subject of the key. NULL for what was posted before, whose hash does not cover it.

ALTER TABLE txn ADD COLUMN IF NOT EXISTS posted_by TEXT;
ALTER TABLE statement_view ADD COLUMN IF NOT EXISTS posted_by TEXT;
