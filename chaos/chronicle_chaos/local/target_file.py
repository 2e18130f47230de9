"""The file by which scenarios find a ledger that `chronicle up` keeps: one living ledger a file."""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from chronicle_chaos.errors import ChaosError
from chronicle_chaos.target import Target


class TargetFileTaken(ChaosError):
    """The file belongs to a ledger that lives, or is none of ours."""


class TargetFile:
    """A context manager: entered, the file is this process's; left, it is gone, unless somebody replaced it.

    Whether another ledger lives is told by a lock on the file, not by the pid in it: the kernel releases the lock when
    its process dies, however it dies, and a pid may have gone to another program since. Entering raises
    TargetFileTaken, or OSError where the file cannot be made or locked.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = -1
        self._written = ""

    def __enter__(self) -> Self:
        self._lock = self._locked()
        try:
            found = self.path.read_text(encoding="utf-8", errors="replace")
            if found and _read(found).get("kind") != "local":
                raise TargetFileTaken(
                    f"{self.path} was not written by `chronicle up` and is left alone; name another file with "
                    "--target-file, or remove this one"
                )
            # Already while it starts, so that a second one can say whom it met.
            self._write(json.dumps({"kind": "local", "starting": True, "details": {"pid": os.getpid()}}) + "\n")
        except BaseException:
            os.close(self._lock)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # Removed before it is unlocked: whoever gets the lock in between finds out in `_locked`.
        try:
            if self.path.exists() and self.path.read_text(encoding="utf-8", errors="replace") == self._written:
                self.path.unlink()
        finally:
            os.close(self._lock)

    def write(self, target: Target) -> None:
        """Say where the ledger is, now that it is ready, and which process keeps it."""
        replace(target, details={**target.details, "pid": os.getpid()}).write(self.path)
        self._written = self.path.read_text(encoding="utf-8")

    def _write(self, text: str) -> None:
        self.path.write_text(text, encoding="utf-8")
        self._written = text

    def _locked(self) -> int:
        """A descriptor with the lock on the file that the path names now."""
        while True:
            lock = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if _same(lock, self.path):
                    return lock
            except BlockingIOError:
                keeper = _pid(os.pread(lock, 1 << 16, 0).decode(errors="replace"))
                os.close(lock)
                raise TargetFileTaken(
                    f"{self.path} belongs to the ledger that process {keeper} keeps up; use that one, end it (Ctrl-C "
                    f"there, or `kill -INT {keeper}`), or start another beside it with --target-file FILE"
                ) from None
            except BaseException:
                os.close(lock)
                raise
            os.close(lock)  # its owner removed it just before we had it


def _same(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _pid(text: str) -> str:
    details = _read(text).get("details")
    # Empty for a moment, while it is written.
    return str(details["pid"]) if isinstance(details, dict) and "pid" in details else "(unknown yet)"


def _read(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
