"""`chronicle up` as a child process of a test, and what can be seen of its processes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from chronicle_chaos.local.binaries import chronicle
from chronicle_chaos.target import Target

STOP_SECONDS = 60


def short_temporary_folder() -> Path:
    """A new folder whose name leaves room for that of a Unix socket, and which the account may pass through that a
    database runs as where this runs as root."""
    folder = Path(tempfile.mkdtemp(prefix="cu-"))
    folder.chmod(0o711)
    return folder


def command(folder: Path, database: str, *options: str) -> list[str]:
    """The command line of a ledger whose target file is in `folder`."""
    return [str(chronicle()), "up", "--database", database, "--target-file", str(folder / "target.json"), *options]


def environment(folder: Path) -> dict[str, str]:
    """The environment in which everything temporary is in `folder`."""
    return {**os.environ, "TMPDIR": str(folder)}


@asynccontextmanager
async def up(folder: Path, database: str, *options: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, Target]]:
    """A ledger that serves: its process and what its target file says. It is interrupted at the end."""
    child = await asyncio.create_subprocess_exec(
        *command(folder, database, "--json", *options), env=environment(folder),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert child.stdout is not None
        assert child.stderr is not None
        line = await child.stdout.readline()
        assert line, (await child.stderr.read()).decode()
        target = Target.read(folder / "target.json")
        assert json.loads(line)["url"] == target.url
        yield child, target
    finally:
        if child.returncode is None:
            child.send_signal(signal.SIGINT)
        async with asyncio.timeout(STOP_SECONDS):
            await child.communicate()


async def refused(folder: Path, *options: str) -> str:
    """What a ledger that cannot start says on stderr. Fails where it starts, or ends with another status than 1."""
    child = await asyncio.create_subprocess_exec(
        *command(folder, "postgres", *options), env=environment(folder),
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(STOP_SECONDS):
        _, said = await child.communicate()
    assert child.returncode == 1, said.decode()
    return said.decode()


def runs(pid: int | None) -> bool:
    """Whether a process is there and not a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def processes_that_mention(text: str) -> list[str]:
    """The command lines that contain `text`."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if text in line:
            found.append(line)
    return found
