"""The file of API keys, which holds no key: names, roles and hashes, as JSON or TOML.

{"keys": [{"name": "billing", "role": "writer", "sha256": "…64 hexadecimal digits…"}]}
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

PREFIX = "clk_"
"""What keys begin with, so that secret scanners and humans know one when they see it."""

MINIMUM_LENGTH = 32


class KeyFileError(ValueError):
    """The key file cannot be used; the message says where and why, and holds no hash."""


class KeyEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One key: whose it is, what it may do, and the SHA-256 that tells it."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    role: Literal["reader", "writer", "admin"]
    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


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
        return msgspec.convert(data, KeyFile).keys
    except OSError as error:
        raise KeyFileError(f"{path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:  # msgspec, JSON, TOML and UTF-8 errors are ValueErrors
        raise KeyFileError(f'{path}: {error}; expected {{"keys": [{{"name", "role", "sha256"}}]}}') from None


def append(path: Path, entry: Mapping[str, Any]) -> None:
    """Add an entry to a JSON file, which is made where there is none; readers see the old or the new file, whole."""
    if path.suffix == ".toml":
        raise KeyFileError(f"{path}: entries are added to JSON files only; add this to the TOML file yourself")
    entries = [msgspec.to_builtins(known) for known in read(path)] if path.exists() else []
    if any(known["name"] == entry["name"] for known in entries):
        raise KeyFileError(f"{path}: there is a key named {entry['name']!r}; choose another name")
    temporary = path.with_name(f".{path.name}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump({"keys": [*entries, dict(entry)]}, file, indent=2)
        file.write("\n")
    temporary.replace(path)
