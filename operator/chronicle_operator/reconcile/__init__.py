"""Bring a ledger's objects to the desired state."""
