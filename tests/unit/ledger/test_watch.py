"""Files that are replaced while a process runs are read again soon, and a broken one does not end the looking."""

from __future__ import annotations

import asyncio
import types
from pathlib import Path

import pytest

from chronicle_ledger import watch

LOOKS = 3


async def test_a_changed_file_is_read_again_within_a_second_and_a_broken_one_gets_another_try(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "keys.json"
    file.write_text("first")
    paused: list[float] = []
    read: list[str] = []

    async def look(seconds: float) -> None:
        """Instead of the pause: replace the file, as Kubernetes does, and end after some looks."""
        paused.append(seconds)
        if len(paused) > LOOKS:
            raise asyncio.CancelledError
        other = file.with_suffix(f".{len(paused)}")
        other.write_text("broken" if len(paused) == 1 else f"look {len(paused)}")
        other.replace(file)

    def reload() -> None:
        read.append(file.read_text())
        if read[-1] == "broken":
            raise ValueError("broken")

    monkeypatch.setattr(watch, "asyncio", types.SimpleNamespace(sleep=look))
    with pytest.raises(asyncio.CancelledError):
        await watch.reload_on_change([file], reload)
    assert read == ["broken", "look 2", "look 3"]
    assert max(paused) <= 1.0
