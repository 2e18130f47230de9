"""Load on the ledger under test: clients, workload, probes and the samples taken meanwhile."""
