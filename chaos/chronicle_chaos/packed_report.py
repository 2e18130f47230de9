"""A run's folder as one file that fits into a ConfigMap."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Sequence
from pathlib import Path

PACKED = "report.tar.xz"
"""The report's key in the ConfigMap. xz, because a run's history is much smaller in it than in gzip."""

REPORT_LIMIT = 700_000
"""Bytes of a packed report: a ConfigMap holds 1 MiB, and base64 adds a third."""

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


def unpack(packed: bytes, folder: Path) -> None:
    """Write a packed report's files into `folder`. Raises tarfile.TarError or lzma.LZMAError where it is none."""
    with tarfile.open(fileobj=io.BytesIO(packed), mode="r:xz") as archive:
        archive.extractall(folder, filter="data")


def _tar(run_dir: Path, files: Sequence[Path]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:xz") as archive:
        for file in files:
            archive.add(file, arcname=str(file.relative_to(run_dir)))
    return buffer.getvalue()
