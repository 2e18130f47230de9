"""Backups that prove themselves: a ledger's history in files of the project's own format, signed and chained."""

from __future__ import annotations

from chronicle_ledger.backup.errors import BackupError
from chronicle_ledger.backup.manifest import Manifest

__all__ = ["BackupError", "Manifest"]
