"""The file of API keys, which holds no key: names, roles and hashes, as JSON or TOML.

{"keys": [{"name": "billing-2026", "role": "writer", "subject": "billing", "sha256": "…64 hexadecimal digits…"}]}

The subject is who posts: every transaction keeps it, and idempotency keys belong to it. Keys that replace each other
share one. Without it, a key's name is its subject.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import secrets
import stat
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from chronicle_contract.keys import PREFIX
from chronicle_ledger.domain.commands import ANYONE, CHRONICLE

MINIMUM_LENGTH = 32

RESERVED = frozenset({ANYONE, CHRONICLE})
"""Subjects of postings that no key made."""

# No control characters and no halves of surrogate pairs: no database keeps them. (?!\n): $ matches before a last line
# break too.
Subject = Annotated[str, msgspec.Meta(min_length=1, max_length=100, pattern="^[^\x00-\x1f\x7f\ud800-\udfff]+(?!\n)$")]


class KeyFileError(ValueError):
    """The key file cannot be used; the message says where and why, and holds no hash."""


class KeyEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One key: whose it is, what it may do, and the SHA-256 that tells it."""

    name: Subject
    role: Literal["reader", "auditor", "writer", "admin"]
    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    subject: Subject | None = None

    @property
    def posts_as(self) -> str:
        """The subject of what is posted with this key."""
        return self.subject or self.name


class KeyFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    keys: list[KeyEntry]


def new_key() -> str:
    """A fresh key: 256 random bits in URL-safe text."""
    return PREFIX + secrets.token_urlsafe(32)


def digest(key: str) -> str:
    """The hash that the key file holds for `key`, in lower-case hexadecimal."""
    return hashlib.sha256(key.encode()).hexdigest()


def read(path: Path) -> list[KeyEntry]:
    """The entries of the file. Raises KeyFileError."""
    try:
        text = path.read_text(encoding="utf-8")
        data = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
    except OSError as error:
        raise KeyFileError(f"{path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:  # JSON, TOML and UTF-8 errors are ValueErrors
        raise _malformed(path, error) from None
    return _checked(path, data)


def _malformed(path: Path, error: Exception) -> KeyFileError:
    return KeyFileError(f'{path}: {error}; expected {{"keys": [{{"name", "role", "sha256"}}]}}')


def _checked(path: Path, data: Any) -> list[KeyEntry]:
    try:
        entries = msgspec.convert(data, KeyFile).keys
    except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
        raise _malformed(path, error) from None
    for entry in entries:
        if entry.posts_as in RESERVED:
            raise KeyFileError(
                f"{path}: the key {entry.name!r} would post as {entry.posts_as!r}, which stands for postings without a"
                ' key; give it another "subject"'
            )
    for what, values in (("names", [e.name for e in entries]), ("hashes", [e.sha256 for e in entries])):
        twice = [e.name for e, value in zip(entries, values, strict=True) if values.count(value) > 1]
        if twice:
            raise KeyFileError(f"{path}: {len(twice)} keys have equal {what} ({', '.join(twice[:3])}); take one out")
    return entries


def append(path: Path, entry: Mapping[str, Any]) -> None:
    """Add an entry to a JSON file, which is made where there is none; readers see the old or the new file, whole.

    The file keeps its mode and its owner, and a symbolic link stays one. Several may add at once. Raises KeyFileError,
    also for an entry with which the file could not be read.
    """
    if path.suffix == ".toml":
        raise KeyFileError(f"{path}: entries are added to JSON files only; add this to the TOML file yourself")
    _checked(path, {"keys": [dict(entry)]})
    try:
        with _held(path) as (real, before):
            entries = [msgspec.to_builtins(known) for known in read(real)] if before.st_size else []
            if any(known["name"] == entry["name"] for known in entries):
                raise KeyFileError(f"{path}: there is a key named {entry['name']!r}; choose another name")
            _checked(path, {"keys": [*entries, dict(entry)]})
            _replace(real, json.dumps({"keys": [*entries, dict(entry)]}, indent=2) + "\n", before)
    except OSError as error:
        raise KeyFileError(f"{path}: {error.strerror}; nothing was added") from None


def too_open(path: Path) -> str | None:
    """Return what is wrong with who may change the file; None where its owner alone may."""
    mode = stat.S_IMODE(path.stat().st_mode)
    if not mode & (stat.S_IWGRP | stat.S_IWOTH):
        return None
    return f"{path} can be changed by others (mode {mode:04o}), who could let themselves in: chmod go-w {path}"


@contextlib.contextmanager
def _held(path: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Keep other writers out: the file behind all links, made where there is none, and what it was like."""
    real = path.resolve()
    while True:
        lock = os.open(real, os.O_RDONLY | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            before = os.fstat(lock)
            # Whoever held it meanwhile has put another file in its place.
            if real.exists() and os.path.samestat(before, real.stat()):
                try:
                    yield real, before
                except BaseException:
                    if not before.st_size:
                        real.unlink(missing_ok=True)
                    raise
                return
        finally:
            os.close(lock)


def _replace(path: Path, text: str, before: os.stat_result) -> None:
    draft = path.with_name(f".{path.name}.new")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            if (before.st_uid, before.st_gid) != (os.geteuid(), os.getegid()):
                os.fchown(file.fileno(), before.st_uid, before.st_gid)
            os.fchmod(file.fileno(), stat.S_IMODE(before.st_mode))
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
