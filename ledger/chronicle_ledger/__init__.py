"""ChronicleLedger's ledger: double entry on CockroachDB or PostgreSQL, with events on NATS JetStream."""

__version__ = "0.1.0"
