"""The backups at a destination, and the chain that leads from a full one to a given one."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field

from chronicle_ledger.backup import manifest as manifests
from chronicle_ledger.backup.cipher import Cipher
from chronicle_ledger.backup.destination import Destination
from chronicle_ledger.backup.errors import USAGE, BackupError
from chronicle_ledger.backup.manifest import Manifest
from chronicle_ledger.backup.segments import missing

_ID = re.compile(r"[0-9]{8}T[0-9]{12}Z-[0-9a-f]{8}")


@dataclass(slots=True)
class Listed:
    """What lies at a destination, oldest first: whole manifests, those that are broken, and folders without one, which
    a backup that was interrupted (or is being made) leaves."""

    whole: list[Manifest] = field(default_factory=list)
    broken: dict[str, BackupError] = field(default_factory=dict)
    unfinished: list[str] = field(default_factory=list)


async def listed(destination: Destination) -> Listed:
    """Read every manifest. Raises BackupError where the destination cannot be read."""
    found = Listed()
    for folder in await destination.folders():
        if not _ID.fullmatch(folder):
            continue
        data = await destination.get(f"{folder}/{manifests.NAME}")
        if data is None:
            found.unfinished.append(folder)
            continue
        try:
            found.whole.append(manifests.decode(data, folder))
        except BackupError as error:
            found.broken[folder] = error
    return found


async def newest(destination: Destination) -> str | None:
    """Return the id of the newest backup that was finished, readable or not; None where there is none."""
    for folder in reversed(await destination.folders()):
        if _ID.fullmatch(folder) and await destination.get(f"{folder}/{manifests.NAME}") is not None:
            return folder
    return None


async def chain_to(destination: Destination, id_: str | None, trusted: Collection[str]) -> list[Manifest]:
    """Return the manifests from a full backup to `id_` (None: the newest), each signed and following the one before.

    `trusted` are the public keys (hex) that may sign. Empty: the key of the full one must have signed all, which shows
    only that one key did. Raises BackupError.
    """
    wanted = id_ or await newest(destination)
    if wanted is None:
        raise BackupError("no_backup", f"there is no backup at {destination.url}; `chronicle backup create` makes one")
    if not _ID.fullmatch(wanted):
        raise BackupError("no_backup", f"{wanted!r} is no id of a backup; `chronicle backup list` shows them", USAGE)
    chain: list[Manifest] = []
    while True:
        data = await destination.get(f"{wanted}/{manifests.NAME}")
        if data is None:
            raise _absent(destination, wanted, chain)
        found = manifests.decode(data, wanted)
        if chain:
            _require_link(found, chain[-1])
        chain.append(found)
        if found.previous is None:
            break
        wanted = found.previous.id
    chain.reverse()
    if chain[0].number != 0:
        raise BackupError("foreign_chain", f"backup {chain[0].id} follows none, and says that it is not the first")
    keys = frozenset(trusted) or {chain[0].public_key}
    for found in chain:
        if found.public_key not in keys:
            raise BackupError(
                "untrusted_key", f"backup {found.id} is signed by another key ({found.public_key}) than those to trust"
            )
    return chain


def _absent(destination: Destination, wanted: str, chain: list[Manifest]) -> BackupError:
    if chain:
        return BackupError(
            "backup_missing",
            f"backup {chain[-1].id} continues {wanted}, which is not at {destination.url}; bring it back from a copy",
        )
    return BackupError(
        "no_backup", f"there is no finished backup {wanted} at {destination.url}; `chronicle backup list` shows them"
    )


def _require_link(before: Manifest, after: Manifest) -> None:
    link = after.previous
    if link is None or link.root != before.root or after.number != before.number + 1:
        raise BackupError(
            "foreign_chain",
            f"backup {after.id} does not continue the {before.id} that is here: one of them is of another chain",
        )


def cipher_for(chain: Collection[Manifest], cipher: Cipher | None) -> dict[str, Cipher | None]:
    """Return with what to read each backup, by id. Raises BackupError where the key is missing or a wrong one."""
    found: dict[str, Cipher | None] = {}
    for manifest in chain:
        if manifest.encryption is None:
            found[manifest.id] = None
        elif cipher is None:
            raise BackupError("key_missing", f"backup {manifest.id} is encrypted; give --encryption-key-file", USAGE)
        elif cipher.key_id != manifest.encryption.key_id:
            raise BackupError(
                "wrong_key",
                f"backup {manifest.id} is encrypted with key {manifest.encryption.key_id}, and the given one is"
                f" {cipher.key_id}: give the file of the right key",
                USAGE,
            )
        else:
            found[manifest.id] = cipher
    return found


async def require_files(destination: Destination, chain: Collection[Manifest]) -> None:
    """Look whether each segment is there with its size, before anything is read. Raises BackupError."""
    for manifest in chain:
        sizes = await destination.sizes(manifest.id)
        for segment in manifest.segments:
            path = f"{manifest.id}/{segment.name}"
            if segment.name not in sizes:
                raise missing(path)
            if sizes[segment.name] != segment.bytes:
                raise BackupError(
                    "segment_changed",
                    f"{path} has {sizes[segment.name]} bytes, and the manifest says {segment.bytes}: it was changed",
                )
