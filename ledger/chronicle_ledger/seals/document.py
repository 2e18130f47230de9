"""One seal: which accounts it covers, its root, and its signature.

A seal covers each account that changed since the seal before it. `rows` is the SHA-256 over these accounts in order of
id, each as 16 bytes of id, 8 bytes of version (big-endian) and 32 bytes of head. The root is the SHA-256 of this
document as canonical JSON (`domain/canonical.py`):

    {"accounts": n, "at": "…Z", "number": n, "previous": hex, "public_key": hex, "rows": hex, "schema": 1,
     "transactions": n}

with `previous` the root of the seal before it (64 zeros for number 1). The signature is Ed25519 over the ASCII text
`chronicle seal ` and the 32 bytes of the root.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from chronicle_ledger.domain.canonical import canonical_json, timestamp
from chronicle_ledger.seals.keys import verifies

SCHEMA = 1
FIRST_PREVIOUS = "00" * 32
"""What stands before the first seal."""

MAX_VERSION = 2**63 - 1

Hex32 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}\\Z")]
Hex64 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{128}\\Z")]
Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_VERSION)]

_SIGNED = b"chronicle seal "


@dataclass(frozen=True, slots=True)
class SealedAccount:
    """That `account_id` had `head` at `version`."""

    account_id: UUID
    version: int
    head: bytes


class Seal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A seal without its rows. `accounts` says how many rows it has, `transactions` how many the ledger had."""

    number: Annotated[int, msgspec.Meta(ge=1, le=MAX_VERSION)]
    at: str
    accounts: Count
    transactions: Count
    previous: Hex32
    rows: Hex32
    public_key: Hex32
    root: Hex32
    signature: Hex64
    schema: int = SCHEMA

    def expected_root(self) -> str:
        """Return the root that the rest of the seal gives."""
        return root_of(msgspec.structs.asdict(self))

    def is_signed(self) -> bool:
        """Return whether the signature is that of the key in the seal."""
        return verifies(self.public_key, self.signature, _SIGNED + bytes.fromhex(self.root))

    def line(self) -> str:
        """Return the seal as one line of JSON with sorted keys."""
        return canonical_json(msgspec.structs.asdict(self))


class Rows:
    """The digest over the rows of one seal, and their number."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self.count = 0

    def add(self, row: SealedAccount) -> None:
        """Take the next row; rows come in order of account id."""
        self._digest.update(row.account_id.bytes + row.version.to_bytes(8, "big") + row.head)
        self.count += 1

    def hexdigest(self) -> str:
        """Return what the seal calls `rows`."""
        return self._digest.hexdigest()


def root_of(fields: dict[str, Any]) -> str:
    """Return the root over the fields that it covers, as hex."""
    covered = {name: value for name, value in fields.items() if name not in {"root", "signature"}}
    return hashlib.sha256(canonical_json(covered).encode("ascii")).hexdigest()


def sign(key: Ed25519PrivateKey, before: Seal | None, rows: Rows, transactions: int, at: datetime) -> Seal:
    """Return the signed seal that comes after `before` (None: the first)."""
    fields: dict[str, Any] = {
        "schema": SCHEMA,
        "number": 1 if before is None else before.number + 1,
        "at": timestamp(at),
        "accounts": rows.count,
        "transactions": transactions,
        "previous": FIRST_PREVIOUS if before is None else before.root,
        "rows": rows.hexdigest(),
        "public_key": key.public_key().public_bytes_raw().hex(),
    }
    root = root_of(fields)
    return Seal(**fields, root=root, signature=key.sign(_SIGNED + bytes.fromhex(root)).hex())


_decode_seal = msgspec.json.Decoder(Seal).decode


def decode(line: str | bytes) -> Seal:
    """Return the seal of a line. Raises ValueError."""
    return _decode_seal(line)
