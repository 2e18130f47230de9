-- Every filter of the list of accounts ends in the id, so that a page is one stretch of an index. Neither holds a column
-- that a posting changes: postings do not write them.
CREATE INDEX IF NOT EXISTS account_by_currency ON account (currency, kind, status, id);
CREATE INDEX IF NOT EXISTS account_by_kind ON account (kind, status, id);
