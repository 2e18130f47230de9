-- The list of balances of one currency is one stretch of an index. An account's currency never changes, so the projector
-- writes this index once for each account.
CREATE INDEX IF NOT EXISTS account_view_by_currency ON account_view (generation, currency, account_id);
