"""Segments: JSON lines in compressed, optionally encrypted files, written and read one at a time."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field

from chronicle_ledger.backup.cipher import Cipher
from chronicle_ledger.backup.destination import Destination
from chronicle_ledger.backup.errors import BackupError
from chronicle_ledger.backup.manifest import Manifest, Segment, SegmentKind
from chronicle_ledger.ending import end

LINES = 5000
BYTES = 4 << 20
"""What a segment holds at most: so many lines, and no further line once it has so many bytes."""

MOST_BYTES = 1 << 30
"""What a segment may unpack to."""

_LEVEL = 3
_GZIP = 16 + zlib.MAX_WBITS


@dataclass(slots=True)
class _Open:
    lines: list[str] = field(default_factory=list)
    size: int = 0
    written: int = 0


class Packer:
    """Writes the segments of one backup; while one is compressed and stored, the next one fills. `stored` is told the
    bytes of each."""

    def __init__(
        self,
        destination: Destination,
        folder: str,
        cipher: Cipher | None,
        stored: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._destination = destination
        self._folder = folder
        self._cipher = cipher
        self._stored = stored
        self._open: dict[SegmentKind, _Open] = {}
        self._storing: asyncio.Task[Segment] | None = None
        self._done: list[Segment] = []

    async def add(self, kind: SegmentKind, line: str) -> None:
        """Take a line. Raises BackupError where the destination refuses a segment."""
        segment = self._open.setdefault(kind, _Open())
        segment.lines.append(line)
        segment.size += len(line)
        if len(segment.lines) >= LINES or segment.size >= BYTES:
            await self._store(kind, segment)

    async def finish(self) -> list[Segment]:
        """Write what is left; return all segments, by kind and in order."""
        for kind, segment in self._open.items():
            if segment.lines:
                await self._store(kind, segment)
        await self._wait()
        return sorted(self._done, key=lambda it: it.name)

    async def abandon(self) -> None:
        """Give up: nothing is written after this."""
        if self._storing is not None:
            await end(self._storing)

    async def _store(self, kind: SegmentKind, segment: _Open) -> None:
        await self._wait()
        segment.written += 1
        encrypted = "" if self._cipher is None else ".aes"
        name = f"{kind}-{segment.written:06}.jsonl.gz{encrypted}"
        lines, segment.lines, segment.size = segment.lines, [], 0
        self._storing = asyncio.create_task(self._write(kind, name, lines), name=f"backup: {name}")

    async def _wait(self) -> None:
        if self._storing is not None:
            task, self._storing = self._storing, None
            done = await task
            self._done.append(done)
            self._stored(done.bytes)

    async def _write(self, kind: SegmentKind, name: str, lines: list[str]) -> Segment:
        path = f"{self._folder}/{name}"
        data, digest = await asyncio.to_thread(_packed, lines, self._cipher, path)
        await self._destination.put(path, data)
        return Segment(name, kind, len(lines), len(data), digest)


def _packed(lines: list[str], cipher: Cipher | None, path: str) -> tuple[bytes, str]:
    data = gzip.compress(("\n".join(lines) + "\n").encode(), compresslevel=_LEVEL, mtime=0)
    if cipher is not None:
        data = cipher.encrypt(data, path)
    return data, hashlib.sha256(data).hexdigest()


async def read(destination: Destination, manifest: Manifest, segment: Segment, cipher: Cipher | None) -> list[bytes]:
    """Return the lines of a segment, which is as the manifest says. Raises BackupError."""
    path = f"{manifest.id}/{segment.name}"
    data = await destination.get(path)
    if data is None:
        raise missing(path)
    return await asyncio.to_thread(_unpacked, data, segment, cipher, path)


def missing(path: str) -> BackupError:
    """Return the error for a segment that is not there."""
    return BackupError("segment_missing", f"{path} is missing; bring it back from a copy, or use another backup")


def _unpacked(data: bytes, segment: Segment, cipher: Cipher | None, path: str) -> list[bytes]:
    if len(data) != segment.bytes or hashlib.sha256(data).hexdigest() != segment.sha256:
        raise BackupError("segment_changed", f"{path} is not as it was written: its SHA-256 is not the manifest's")
    if cipher is not None:
        data = cipher.decrypt(data, path)
    unpacker = zlib.decompressobj(_GZIP)
    try:
        text = unpacker.decompress(data, MOST_BYTES)
    except zlib.error as error:
        raise BackupError("segment_unreadable", f"{path} cannot be unpacked: {error}") from None
    lines = text.split(b"\n")
    if not unpacker.eof or lines.pop() or len(lines) != segment.lines:
        raise BackupError("segment_unreadable", f"{path} does not hold the {segment.lines} lines that it should")
    return lines
