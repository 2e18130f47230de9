"""Backups by Jobs: made by the clock or on request, verified, pruned, and put back into a new ledger."""
