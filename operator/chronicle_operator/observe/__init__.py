"""Read what a ledger's objects, pods and nodes report."""
