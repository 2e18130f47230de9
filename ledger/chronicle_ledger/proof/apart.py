"""Proofs for the API: each in a process of its own, one at a time, and never more than half of the time."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import sys
import tempfile
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Sequence

LONGEST_SECONDS = 3600.0
LARGEST_DOCUMENT = 1 << 20
PAUSE_SECONDS = 1.0
"""The least pause between two proofs."""

ENDS_WITHIN = 5.0
"""Seconds from SIGTERM to SIGKILL."""

COMMAND = (sys.executable, "-m", "chronicle_ledger.proof")


class ProofUnfinished(Exception):
    """The process made no proof; the log of the instance says why."""


class TooManyProofs(Exception):
    """A proof is being made, or was made just now. `seconds` is when to ask again, as far as one can tell."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"ask again in {seconds} s")
        self.seconds = seconds


class ProofProcesses:
    """Starts the processes of one instance. After a proof the next one waits for as long as it took, so that whoever
    asks again and again takes at most half of a processor's time."""

    def __init__(self, command: Sequence[str] = COMMAND, clock: Callable[[], float] = time.monotonic) -> None:
        self._command = command
        self._clock = clock
        self._busy = False
        self._free_at = -math.inf
        self._took = PAUSE_SECONDS
        self._process: Process | None = None

    async def prove(self) -> bytes:
        """Make a proof; return its document as JSON. Raises TooManyProofs and ProofUnfinished."""
        now = self._clock()
        if self._busy or now < self._free_at:
            raise TooManyProofs(max(1, math.ceil(self._took if self._busy else self._free_at - now)))
        self._busy = True
        try:
            return await self._run()
        finally:
            self._took = max(PAUSE_SECONDS, self._clock() - now)
            self._free_at = self._clock() + self._took
            self._busy = False

    async def _run(self) -> bytes:
        # A folder of its own, which goes with everything in it, however the process ends.
        with tempfile.TemporaryDirectory(prefix="chronicle-proof-", ignore_cleanup_errors=True) as folder:
            process = await asyncio.create_subprocess_exec(
                *self._command, stdin=PIPE, stdout=PIPE, env={**os.environ, "TMPDIR": folder}
            )
            self._process = process
            try:
                async with asyncio.timeout(LONGEST_SECONDS):
                    document = await _read(process)
                    status = await process.wait()
            except TimeoutError:
                raise ProofUnfinished("it took too long") from None
            finally:
                self._process = None
                await _ended(process)
        if status or not document:
            raise ProofUnfinished(f"its process ended with {status}")
        return document

    async def close(self) -> None:
        """End the process that runs; its caller gets ProofUnfinished."""
        if self._process is not None:
            await _ended(self._process)


async def _read(process: Process) -> bytes:
    if process.stdout is None:
        raise ProofUnfinished("its process has no output")
    pieces = bytearray()
    while piece := await process.stdout.read(1 << 16):
        pieces += piece
        if len(pieces) > LARGEST_DOCUMENT:
            raise ProofUnfinished("its document is too large")
    return bytes(pieces)


async def _ended(process: Process) -> None:
    if process.stdin is not None:
        process.stdin.close()
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(ENDS_WITHIN):
            await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
