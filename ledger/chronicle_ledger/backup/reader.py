"""Reading what a chain of backups holds, one segment at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence

from chronicle_ledger.backup import lines, segments
from chronicle_ledger.backup.cipher import Cipher
from chronicle_ledger.backup.destination import Destination
from chronicle_ledger.backup.errors import BackupError
from chronicle_ledger.backup.manifest import Manifest, Segment
from chronicle_ledger.seals import Seal, SealedAccount
from chronicle_ledger.seals.document import decode as decode_seal


class Reader:
    """The segments of `chain` at one destination; `ciphers` says with what each backup is read, by id. Each method
    raises BackupError."""

    def __init__(
        self, destination: Destination, chain: Sequence[Manifest], ciphers: Mapping[str, Cipher | None]
    ) -> None:
        self._destination = destination
        self._chain = chain
        self._ciphers = ciphers

    async def transactions(self) -> AsyncIterator[tuple[str, list[bytes]]]:
        """Yield the path and the lines of each segment of transactions."""
        for manifest in self._chain:
            for segment in manifest.segments:
                if segment.kind == "transactions":
                    yield f"{manifest.id}/{segment.name}", await self._lines(manifest, segment)

    async def seals(self) -> AsyncIterator[tuple[Seal, list[SealedAccount]]]:
        """Yield each seal with the accounts that it covers."""
        rows: list[SealedAccount] = []
        for manifest in self._chain:
            for segment in manifest.segments:
                if segment.kind != "seals":
                    continue
                path = f"{manifest.id}/{segment.name}"
                for line in await self._lines(manifest, segment):
                    if line.startswith(b"["):
                        rows.append(lines.account(line, path))
                        continue
                    yield _seal(line, path), rows
                    rows = []

    async def _lines(self, manifest: Manifest, segment: Segment) -> list[bytes]:
        return await segments.read(self._destination, manifest, segment, self._ciphers[manifest.id])


def _seal(line: bytes, path: str) -> Seal:
    try:
        return decode_seal(line)
    except (ValueError, RecursionError):
        raise BackupError("segment_unreadable", f"{path}: a line is no seal") from None
