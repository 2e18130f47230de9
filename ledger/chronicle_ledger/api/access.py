"""Who may do what: bearer keys with one of three roles.

reader reads; writer also posts and opens accounts; admin also changes accounts (status, floor, metadata) and opens
accounts that may go below zero, because that creates credit.

A key is 256 random bits, so its plain SHA-256 cannot be searched: a slow hash (Argon2, bcrypt) defends guessable
passwords, and would cost each request some 50 ms of CPU for nothing.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from chronicle_ledger.api import keyfile
from chronicle_ledger.api.problems import Problem


class Role(IntEnum):
    """Each role may do what the ones before it may."""

    READER = 1
    WRITER = 2
    ADMIN = 3


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks: the name beside the key's hash, and the role."""

    name: str
    role: Role

    def require(self, role: Role) -> None:
        """Raise Problem `forbidden` where the role does not suffice."""
        if self.role < role:
            required = role.name.lower()
            raise Problem(
                "forbidden",
                f"This needs the role {required}; the key has the role {self.role.name.lower()}.",
                required=required,
            )


ANYONE = Principal("anyone", Role.ADMIN)
"""Who asks where no key file is set."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the key file: the SHA-256 of a key (32 bytes) and whom it lets in."""

    sha256: bytes
    principal: Principal


class Keyring:
    """The key file in memory. `load` reads it anew, and leaves the former entries in force where it cannot."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._entries: Sequence[Entry] = ()
        self.load()

    def load(self) -> None:
        """Read the file. Raises KeyFileError, which says what is wrong and where."""
        self._entries = [
            Entry(bytes.fromhex(entry.sha256), Principal(entry.name, Role[entry.role.upper()]))
            for entry in keyfile.read(self.path)
        ]

    def __len__(self) -> int:
        return len(self._entries)

    def authenticate(self, authorization: str | None) -> Principal:
        """Whom the header lets in. Every entry is compared, each in constant time. Raises Problem."""
        scheme, _, key = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not key:
            raise Problem("unauthenticated", headers={"www-authenticate": 'Bearer realm="chronicle"'})
        given = hashlib.sha256(key.strip().encode("latin-1", "replace")).digest()
        found = None
        for entry in self._entries:
            if hmac.compare_digest(entry.sha256, given):
                found = entry.principal
        if found is None:
            challenge = 'Bearer realm="chronicle", error="invalid_token"'
            raise Problem("unauthenticated", "The key is not known here.", headers={"www-authenticate": challenge})
        return found
