"""A temporary SQLite file: notes of any number, in whatever order they are wanted, in bounded memory."""

from __future__ import annotations

import sqlite3
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

CACHE_KIB = 8192


class Scratch:
    """The file, gone at the end; use as a context manager. Nothing in it needs to survive a crash."""

    def __init__(self, *tables: str) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="chronicle-proof-")
        self._db = sqlite3.connect(Path(self._folder.name) / "scratch.sqlite", isolation_level=None)
        self._db.execute("PRAGMA journal_mode = OFF")
        self._db.execute("PRAGMA synchronous = OFF")
        self._db.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        for table in tables:
            self._db.execute(f"CREATE TABLE {table}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._db.close()
        self._folder.cleanup()
