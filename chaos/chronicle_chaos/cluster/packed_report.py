"""A run's folder as one file that fits into a ConfigMap."""

from __future__ import annotations

import io
import lzma
import tarfile
from collections.abc import Sequence
from pathlib import Path

from chronicle_chaos.errors import UnreadableRun

PACKED = "report.tar.xz"
"""The report's key in the ConfigMap. xz, because a run's history is much smaller in it than in gzip."""

REPORT_LIMIT = 700_000
"""Bytes of a packed report: a ConfigMap holds 1 MiB, and base64 adds a third."""

UNPACKED_LIMIT = 128 << 20
"""Bytes of all its files together. A history, the largest of them, shrinks to a tenth or less."""

MEMORY_LIMIT = 256 << 20
"""Bytes that the decoder may take; the strongest preset of xz needs 65 MiB (xz(1))."""

DERIVED = ("timeline.png", "report.html", "junit.xml")
"""What `chronicle report` makes anew from the rest."""


def pack(run_dir: Path, limit: int = REPORT_LIMIT) -> bytes:
    """Return the run's folder as tar.xz. Where it would be larger than `limit` bytes, first without what can be made
    anew from the rest, then without its largest files."""
    files = sorted(
        (it for it in run_dir.rglob("*") if it.is_file()), key=lambda it: (it.name in DERIVED, it.stat().st_size)
    )
    while True:
        packed = _tar(run_dir, files)
        if len(packed) <= limit or len(files) <= 1:
            return packed
        files = files[:-1]


def unpack(packed: bytes, folder: Path, limit: int = UNPACKED_LIMIT) -> None:
    """Write a packed report's files into `folder`. Raises UnreadableRun where it is none, or larger than `limit`.

    Nothing is written before the whole is known to be within its limit: a few bytes of xz can hold a full disk.
    """
    try:
        decoder = lzma.LZMADecompressor(memlimit=MEMORY_LIMIT)
        plain = decoder.decompress(packed, limit + 1)
        if len(plain) > limit:
            raise UnreadableRun(f"the report unpacks to more than {limit >> 20} MiB and was not written")
        with tarfile.open(fileobj=io.BytesIO(plain), mode="r:") as archive:
            archive.extractall(folder, filter="data")
    except (lzma.LZMAError, tarfile.TarError) as error:
        raise UnreadableRun(f"what the cluster holds is no report: {error}") from error


def _tar(run_dir: Path, files: Sequence[Path]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:xz") as archive:
        for file in files:
            archive.add(file, arcname=str(file.relative_to(run_dir)))
    return buffer.getvalue()
