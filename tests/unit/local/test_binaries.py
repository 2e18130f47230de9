"""A cockroach binary is found by the variable, then on PATH, then in the cache, in that order."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from chronicle_chaos.local.binaries import BinaryMissing, find_cockroach


@pytest.fixture(autouse=True)
def _nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is to be found unless a test puts it there."""
    monkeypatch.delenv("CHRONICLE_COCKROACH", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def _program(path: Path, *, age: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    os.utime(path, (1_000_000 - age, 1_000_000 - age))
    return path


def test_where_there_is_none_none_is_found() -> None:
    assert find_cockroach() is None


def test_the_newest_of_the_cache_is_taken_where_path_has_none(tmp_path: Path) -> None:
    _program(tmp_path / "cache/chronicle/cockroach-v1/cockroach", age=100)
    newer = _program(tmp_path / "cache/chronicle/cockroach-v2/cockroach")
    assert find_cockroach() == newer


def test_path_goes_before_the_cache_and_the_variable_before_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _program(tmp_path / "cache/chronicle/cockroach-v1/cockroach")
    on_path = _program(tmp_path / "path/cockroach")
    assert find_cockroach() == on_path
    named = _program(tmp_path / "named/my-cockroach")
    monkeypatch.setenv("CHRONICLE_COCKROACH", str(named))
    assert find_cockroach() == named


def test_a_variable_that_names_nothing_is_an_error_and_not_a_reason_to_take_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _program(tmp_path / "path/cockroach")
    monkeypatch.setenv("CHRONICLE_COCKROACH", str(tmp_path / "missing"))
    with pytest.raises(BinaryMissing, match="CHRONICLE_COCKROACH"):
        find_cockroach()


def test_a_folder_that_the_variable_names_is_no_binary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHRONICLE_COCKROACH", str(tmp_path))
    with pytest.raises(BinaryMissing):
        find_cockroach()
