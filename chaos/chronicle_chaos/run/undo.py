"""The undo log: how to take back what is about to be broken, on disk before it is broken."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec


@dataclass(frozen=True, slots=True)
class FileUndoLog:
    """An `UndoLog` in a file (`undo.jsonl` of the run), one line a step, synced line by line.

    A run that was killed with SIGKILL leaves it behind: it says, in words and as data, what is still broken.
    """

    path: Path
    scenario: str

    def record(self, description: str, undo: Mapping[str, Any]) -> None:
        """Append durably; raises OSError where that is impossible, and then nothing may be injected."""
        line = msgspec.json.encode({"scenario": self.scenario, "description": description, "undo": dict(undo)})
        handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(handle, line + b"\n")
            os.fsync(handle)
        finally:
            os.close(handle)

    def entries(self) -> tuple[Mapping[str, Any], ...]:
        """What was recorded for this scenario, oldest first."""
        if not self.path.exists():
            return ()
        lines = (msgspec.json.decode(line) for line in self.path.read_bytes().splitlines())
        return tuple(line for line in lines if line["scenario"] == self.scenario)

    def healed(self) -> None:
        """Mark that everything above is undone, so that a person who finds the file need do nothing."""
        self.record("healed: nothing of the above is left", {})
