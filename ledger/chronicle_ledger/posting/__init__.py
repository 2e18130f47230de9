"""Posting: commands in, committed transactions out; batches, locks, retries."""
