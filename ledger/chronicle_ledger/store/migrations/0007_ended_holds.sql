-- Which holds of an account are over and not expired yet: asked where a posting would otherwise be refused for lack of
-- funds, and where an account is read that holds something.

CREATE INDEX IF NOT EXISTS hold_ended ON hold (account_id, state, expires_at, amount);
