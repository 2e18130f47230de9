"""What a proof notes down leaves no name behind, so a proof that is killed leaves no file."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from chronicle_ledger.scratch import Scratch


def test_the_file_has_no_name_while_it_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with Scratch("note (id INTEGER PRIMARY KEY, text TEXT)") as scratch:
        rows = [(number, "x" * 1000) for number in range(20_000)]  # more than its cache holds
        scratch._db.executemany("INSERT INTO note VALUES (?, ?)", rows)
        assert list(tmp_path.iterdir()) == []
        assert scratch._db.execute("SELECT count(*), sum(length(text)) FROM note").fetchone() == (20_000, 20_000_000)
