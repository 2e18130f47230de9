"""Runs of failure scenarios on a ledger: when one starts, the Job that does it, and what becomes of its verdicts."""
