"""A temporary SQLite file: notes of any number, in whatever order they are wanted, in bounded memory."""

from __future__ import annotations

import sqlite3
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

CACHE_KIB = 8192


class Scratch:
    """The file; use as a context manager. Nothing in it needs to survive a crash.

    Its name goes as soon as it is open, so nothing is left even where the process is killed.
    """

    def __init__(self, *tables: str) -> None:
        with tempfile.TemporaryDirectory(prefix="chronicle-scratch-") as folder:
            self._db = sqlite3.connect(Path(folder) / "scratch.sqlite", isolation_level=None)
            self._db.execute("PRAGMA journal_mode = OFF")
            self._db.execute("PRAGMA synchronous = OFF")
            self._db.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
            for table in tables:  # SQLite makes the file with the first of them
                self._db.execute(f"CREATE TABLE {table}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._db.close()
