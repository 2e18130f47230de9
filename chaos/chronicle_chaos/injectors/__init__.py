"""Injectors: how a fault is done, proven and undone in each kind of cluster."""
