"""The sealer: a Job that signs the ledger's state by the clock, and what the status says of the latest seal."""
