"""Judge a run: pure checkers over the record, and the verdict made of their results."""
