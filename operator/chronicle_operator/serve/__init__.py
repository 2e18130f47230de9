"""The operator's process: handlers, probes, metrics, settings."""
