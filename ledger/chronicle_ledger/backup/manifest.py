"""The manifest of one backup: what it holds, what it follows, and the signature over all of it.

`root` is the SHA-256 of the manifest without `root` and `signature`, as canonical JSON (`domain/canonical.py`). The
signature is Ed25519 over the ASCII text `chronicle backup ` and the 32 bytes of the root. `previous` names the backup
that this one continues, by id and root; a full backup has none.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from chronicle_ledger.backup.errors import BackupError
from chronicle_ledger.domain.canonical import canonical_json
from chronicle_ledger.seals.document import Count, Hex32, Hex64
from chronicle_ledger.seals.keys import verifies

FORMAT = 1
NAME = "manifest.json"

_SIGNED = b"chronicle backup "

Id = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{8}T[0-9]{12}Z-[0-9a-f]{8}\Z")]
Moment = Annotated[datetime, msgspec.Meta(tz=True)]
SegmentKind = Literal["transactions", "accounts", "seals"]


class Segment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file: JSON lines, compressed, and encrypted where the manifest says so. `bytes` and `sha256` are of the file
    as it is stored."""

    name: Annotated[str, msgspec.Meta(pattern=r"^[a-z]+-[0-9]{6}\.jsonl\.gz(\.aes)?\Z")]
    kind: SegmentKind
    lines: Annotated[int, msgspec.Meta(ge=1)]
    bytes: Annotated[int, msgspec.Meta(ge=1)]
    sha256: Hex32


class Link(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Another backup: its id and its root."""

    id: Id
    root: Hex32


class LastSeal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The last seal that the ledger had."""

    number: Annotated[int, msgspec.Meta(ge=1)]
    root: Hex32


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the backup was taken. `applied` are the times at which migrations were applied that a ledger's behaviour
    depends on (until when idempotency keys are shared)."""

    database: Literal["cockroachdb", "postgresql"]
    schema_version: Annotated[int, msgspec.Meta(ge=0)]
    program: str
    applied: dict[str, Moment]


class Encryption(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """With what the segments are encrypted."""

    cipher: Literal["AES-256-GCM"]
    key_id: str


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one backup holds, and what the whole ledger was at its moment (`ledger_…`, `head`)."""

    format: int
    id: Id
    number: Count
    at: str
    transactions: Count
    entries: Count
    accounts: Count
    ledger_transactions: Count
    ledger_accounts: Count
    head: Hex32
    first_posted_at: str | None
    last_posted_at: str | None
    seal: LastSeal | None
    previous: Link | None
    source: Source
    encryption: Encryption | None
    segments: list[Segment]
    public_key: Hex32
    root: Hex32 = "00" * 32
    signature: Hex64 = "00" * 64

    @property
    def kind(self) -> str:
        """Return `full` or `incremental`."""
        return "full" if self.previous is None else "incremental"

    @property
    def stored_bytes(self) -> int:
        """Return the bytes of all segments."""
        return sum(segment.bytes for segment in self.segments)

    def expected_root(self) -> str:
        """Return the root that the rest gives."""
        covered = {name: value for name, value in self._fields().items() if name not in {"root", "signature"}}
        return hashlib.sha256(canonical_json(covered).encode("ascii")).hexdigest()

    def text(self) -> bytes:
        """Return the manifest as it is stored."""
        return f"{canonical_json(self._fields())}\n".encode("ascii")

    def _fields(self) -> dict[str, Any]:
        fields: dict[str, Any] = msgspec.to_builtins(self)
        return fields

    def is_signed(self) -> bool:
        """Return whether the signature is that of the key in the manifest."""
        return verifies(self.public_key, self.signature, _SIGNED + bytes.fromhex(self.root))


def sign(key: Ed25519PrivateKey, manifest: Manifest) -> Manifest:
    """Return `manifest` with its root and the signature of `key`, whose public half must stand in it."""
    root = manifest.expected_root()
    signature = key.sign(_SIGNED + bytes.fromhex(root)).hex()
    return msgspec.structs.replace(manifest, root=root, signature=signature)


_decode = msgspec.json.Decoder(Manifest).decode


def decode(data: bytes, id_: str) -> Manifest:
    """Return the manifest of backup `id_`, whole and signed by the key in it. Raises BackupError."""
    try:
        manifest = _decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BackupError(
            "manifest_unreadable", f"{id_}/{NAME} is not a whole manifest ({str(error)[:120]}): it was cut or changed"
        ) from None
    if manifest.format != FORMAT:
        raise BackupError(
            "format_unknown", f"backup {id_} has format {manifest.format}, not {FORMAT}; upgrade this program"
        )
    if manifest.root != manifest.expected_root() or manifest.id != id_:
        raise BackupError("manifest_changed", f"{id_}/{NAME} was changed: its root does not fit what it says")
    if not manifest.is_signed():
        raise BackupError("wrong_signature", f"{id_}/{NAME} is not signed by the key that it names")
    return manifest
