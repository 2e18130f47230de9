"""Who may do what: bearer keys with one of four roles.

reader reads; auditor also asks for proofs, which read everything; writer reads, posts and opens accounts; admin does
all of that, changes accounts (status, floor, metadata), and opens accounts that may go below zero, because that creates
credit.

A key is 256 random bits, so its plain SHA-256 cannot be searched: a slow hash (Argon2, bcrypt) defends guessable
passwords, and would cost each request some 50 ms of CPU for nothing.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from chronicle_ledger import logs
from chronicle_ledger.domain import commands
from chronicle_ledger.web import keyfile
from chronicle_ledger.web.problems import Problem

log = logs.get(__name__)


class Role(Enum):
    """What a key may do, and what an operation needs."""

    READER = "reader"
    AUDITOR = "auditor"
    WRITER = "writer"
    ADMIN = "admin"

    def includes(self, needed: Role) -> bool:
        """Whether a key of this role may do what needs the role `needed`."""
        return needed in _INCLUDES[self]


_INCLUDES = {
    Role.READER: {Role.READER},
    Role.AUDITOR: {Role.READER, Role.AUDITOR},
    Role.WRITER: {Role.READER, Role.WRITER},
    Role.ADMIN: set(Role),
}


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks: the name beside the key's hash, the role, and the subject that postings are made in the name of."""

    name: str
    role: Role
    subject: str

    def require(self, role: Role) -> None:
        """Raise Problem `forbidden` where the role does not suffice."""
        if not self.role.includes(role):
            required = role.name.lower()
            raise Problem(
                "forbidden",
                f"This needs the role {required}; the key has the role {self.role.name.lower()}.",
                required=required,
            )


ANYONE = Principal("anyone", Role.ADMIN, commands.ANYONE)
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
        self.version = 0
        """How often the file has been read."""
        self._entries: Sequence[Entry] = ()
        self.load()

    def load(self) -> None:
        """Read the file. Raises KeyFileError, which says what is wrong and where."""
        entries = keyfile.read(self.path)
        if problem := keyfile.too_open(self.path):
            log.warning("key file", problem=problem)
        self._entries = [
            Entry(bytes.fromhex(entry.sha256), Principal(entry.name, Role[entry.role.upper()], entry.posts_as))
            for entry in entries
        ]
        self.version += 1

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


class Admission:
    """Whether the key that began an answer without an end still lets its caller in.

    A key is looked at again when the key file has been read again, and whenever the caller of `holds` asks for it.
    """

    def __init__(self, keyring: Keyring | None, authorization: str | None, role: Role) -> None:
        self._keyring = keyring
        self._authorization = authorization
        self._role = role
        self._version = 0 if keyring is None else keyring.version

    def holds(self, *, again: bool = False) -> bool:
        """True as long as the caller may go on; `again` looks at the key although no file was read since."""
        keyring = self._keyring
        if keyring is None or (keyring.version == self._version and not again):
            return True
        try:
            keyring.authenticate(self._authorization).require(self._role)
        except Problem:
            return False
        self._version = keyring.version
        return True
