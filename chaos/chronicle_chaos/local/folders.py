"""Folders of a local cluster: each is held by one process, private, and remembers what it holds.

A lock on the folder (flock(2)) tells who uses it. The kernel releases it when its process dies, however it dies, so a
temporary folder without a living owner is one that a killed process left, and the next start removes it.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from chronicle_chaos.errors import ChaosError
from chronicle_chaos.files import write_whole

MEMORY = "ledger.json"
PREFIX = "chronicle-"
PRIVATE = 0o700
SOCKET_NAME_BYTES = 103
"""The longest path that a Unix socket may have on each system (macOS; on Linux it may have 107, unix(7))."""
LONGEST_SOCKET = Path("postgres") / ".s.PGSQL.5432"
UNREMARKABLE = frozenset({"lost+found", ".DS_Store", ".gitkeep"})
"""What an empty folder may have in it."""


class FolderTaken(ChaosError):
    """Another process uses the folder now."""


class FolderUnusable(ChaosError):
    """The folder cannot hold a ledger; the message says what to change."""


@dataclass(slots=True)
class HeldFolder:
    """A folder that this process has locked. `ours`: chronicle made it, so its mode is ours to set."""

    path: Path
    ours: bool
    temporary: bool
    _lock: int

    @classmethod
    def named(cls, path: Path) -> Self:
        """Hold the folder at `path`, which is made where there is none. Raises FolderTaken, FolderUnusable, OSError.

        Nothing in it is touched before the lock is taken.
        """
        path = path.absolute()
        _check_name(path)
        ours = _made(path)
        lock = _locked(path)
        try:
            found = {entry.name for entry in path.iterdir()} - UNREMARKABLE
            if found and not _is_ledger(found):
                raise FolderUnusable(
                    f"{path} holds other things ({', '.join(sorted(found)[:3])}); name an empty folder, or one that"
                    " `chronicle up` has filled"
                )
            ours = ours or (bool(found) and path.stat().st_uid == os.geteuid())
            if ours:
                path.chmod(PRIVATE)
            held = cls(path, ours, temporary=False, _lock=lock)
            held.remember(pid=os.getpid())
        except BaseException:
            os.close(lock)
            raise
        return held

    @classmethod
    def new(cls, bases: Iterable[Path] | None = None) -> Self:
        """Hold a new temporary folder in the first of `bases` (none: where temporary files go) that can be used."""
        refused: Exception | None = None
        for base in (Path(tempfile.gettempdir()),) if bases is None else bases:
            try:
                path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=base))
            except OSError as error:
                refused = error
                continue
            held = cls(path.absolute(), ours=True, temporary=True, _lock=_locked(path))
            held.remember(pid=os.getpid(), temporary=True)
            return held
        raise FolderUnusable(f"no temporary folder can be made ({refused}); set TMPDIR to a folder that can be written")

    def remembered(self) -> dict[str, Any]:
        """Return what the folder knows of itself."""
        return _read(self.path)

    def remember(self, **facts: Any) -> None:
        """Add to what the folder knows of itself."""
        write_whole(self.path / MEMORY, json.dumps({**self.remembered(), **facts}, indent=2) + "\n", mode=0o600)

    def admit(self, group: int) -> None:
        """Let a group pass through, and no more: a server that refuses root keeps its own folder in here."""
        if self.ours:
            os.chown(self.path, -1, group)
            self.path.chmod(PRIVATE | stat.S_IXGRP)

    @property
    def shown_to_others(self) -> bool:
        """Whether others of this machine can see what is in it (what we make in it they cannot enter)."""
        return bool(self.path.stat().st_mode & (stat.S_IRWXO | stat.S_IRGRP | stat.S_IWGRP))

    def keep(self) -> None:
        """Leave a temporary folder where it is: somebody is told to look into it."""
        self.remember(temporary=False)
        self.temporary = False

    def release(self) -> None:
        """Let go of it; a temporary one is removed."""
        if self._lock == -1:
            return
        if self.temporary:
            shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)
        self._lock = -1


def folder_for_sockets(folder: HeldFolder) -> HeldFolder:
    """Return `folder`, or a new temporary one where the names of sockets would be too long in it.

    libpq takes a comma in a host for the end of it, so a path with one is no place for a database's socket either.
    """
    if _suits_sockets(folder.path):
        return folder
    bases = [Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp")]  # noqa: S108 - mkdtemp makes it private
    short = [base for base in bases if base.is_dir() and _suits_sockets(base / f"{PREFIX}12345678")]
    return HeldFolder.new(short)


def sweep(bases: Iterable[Path] | None = None) -> list[Path]:
    """Remove the temporary folders that killed processes of this user left, and return their paths.

    It looks into `bases` (none: each folder in which `new` or `folder_for_sockets` makes one).
    """
    if bases is None:
        bases = {Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp")}  # noqa: S108 - written to by mkdtemp only
    gone = []
    for path in sorted(path for base in bases for path in base.glob(f"{PREFIX}*")):
        try:
            lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:
            continue
        try:
            if os.fstat(lock).st_uid != os.geteuid() or not _read(path).get("temporary"):
                continue
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)
            gone.append(path)
        except OSError:
            continue  # somebody uses it
        finally:
            os.close(lock)
    return gone


def make_private(path: Path) -> Path:
    """Make a folder that its owner alone can enter; one that is there already stays as it is."""
    path.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
    return path


def closed_to(path: Path, user: int, group: int) -> Path | None:
    """Return the first folder on the way to `path`, itself included, that a user cannot enter; None where all can."""
    for folder in (*reversed(path.absolute().parents), path.absolute()):
        try:
            status = folder.stat()
        except OSError:
            return folder
        right = stat.S_IXUSR if status.st_uid == user else stat.S_IXGRP if status.st_gid == group else stat.S_IXOTH
        if not status.st_mode & right:
            return folder
    return None


def _made(path: Path) -> bool:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(mode=PRIVATE)
    except FileExistsError:
        if not path.is_dir():
            raise FolderUnusable(f"{path} is no folder; name another one") from None
        return False
    return True


def _locked(path: Path) -> int:
    lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        keeper = _read(path).get("pid", "(unknown yet)")
        raise FolderTaken(
            f"{path} belongs to the ledger that process {keeper} keeps up; use that one, end it (Ctrl-C there, or"
            f" `kill -INT {keeper}`), or name another folder"
        ) from None
    return lock


def _is_ledger(names: set[str]) -> bool:
    """Whether `chronicle up` has filled the folder; older releases left no memory in it."""
    return MEMORY in names or ("nats-1" in names and bool(names & {"postgres", "cockroach-1", "postgres-1"}))


def _check_name(path: Path) -> None:
    """Raise FolderUnusable where a server's configuration could not spell the name."""
    name = str(path)
    if not name.isprintable():
        # A line break or another control character; undecodable bytes are not printable either.
        odd = next(character for character in name if not character.isprintable())
        raise FolderUnusable(f"{name!r} has the character {odd!r} in its name; name a folder without it")


def _suits_sockets(path: Path) -> bool:
    name = os.fsencode(path / LONGEST_SOCKET)
    return len(name) <= SOCKET_NAME_BYTES and b"," not in name


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads((path / MEMORY).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
