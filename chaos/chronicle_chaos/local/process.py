"""One supervised child process: started, restarted when it dies, and never left behind (see `orphans`)."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chronicle_chaos.errors import ChaosError
from chronicle_chaos.local.orphans import die_with_parent

FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 5.0
QUIET_SECONDS = 10.0
"""A child that lived this long is restarted at once; one that dies sooner waits, twice as long each time."""


class ProcessDied(ChaosError):
    """A server ended while somebody waited for it; the message ends in its last words and names its log."""


@dataclass(frozen=True, slots=True)
class Command:
    """What to run. `environment` comes on top of `inherited` (None: all that this process has). `user` and `group` are
    numeric ids to run as, for servers that refuse root. `folder` is where it starts."""

    arguments: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    inherited: Mapping[str, str] | None = None
    user: int | None = None
    group: int | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    folder: Path | None = None


async def output_of(
    command: Command, *, seconds: float, errors: int = asyncio.subprocess.STDOUT
) -> tuple[int | None, str]:
    """Run a program to its end; its exit status and what it printed. The status is None where `seconds` were too short.

    It ends with this call, however the call ends, and with this process. Raises OSError where it cannot be executed.
    """
    child = await asyncio.create_subprocess_exec(
        *command.arguments,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=errors,
        **_conditions(command),
    )  # fmt: skip
    try:
        async with asyncio.timeout(seconds):
            output, _ = await child.communicate()
    except TimeoutError:
        return None, f"no answer within {seconds:g} s"
    finally:
        if child.returncode is None:
            with suppress(ProcessLookupError):
                child.kill()
            await child.wait()
    return child.returncode, output.decode(errors="replace")


class SupervisedProcess:
    """Keeps `command` running between `start` and `stop`, unless it is kept away on purpose (`keep_away`)."""

    def __init__(self, name: str, command: Command, log: Path, *, grace: float = 10.0) -> None:
        """`grace` is how many seconds an orderly end may take before SIGKILL."""
        self.name = name
        self.log = log
        self._command = command
        self._grace = grace
        self._child: asyncio.subprocess.Process | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._wanted = asyncio.Event()
        # A kill waits for a start that is under way, or what was to be kept away would come up behind its back.
        self._changing = asyncio.Lock()
        self._started_at = 0.0
        self.starts = 0

    @property
    def pid(self) -> int | None:
        """The process id, while it runs."""
        child = self._child
        return child.pid if child is not None and child.returncode is None else None

    @property
    def started_at(self) -> float:
        """When the current or last child began (seconds since the epoch)."""
        return self._started_at

    async def start(self) -> None:
        """Start it and watch it. Raises ProcessDied where it cannot be executed at all."""
        self._wanted.set()
        await self._spawn()
        self._supervisor = asyncio.create_task(self._supervise(), name=f"supervise {self.name}")

    async def run_once(self, *, seconds: float) -> int:
        """Run to its end, unsupervised; its exit status. Raises ProcessDied where that takes longer than `seconds`."""
        await self._spawn()
        child = self._child
        try:
            async with asyncio.timeout(seconds):
                return 0 if child is None else await child.wait()
        except TimeoutError:
            await self.stop()
            raise ProcessDied(f"{self.name} did not end within {seconds:g} s:\n{self.last_words()}") from None

    async def kill(self, *, keep_away: bool) -> int | None:
        """SIGKILL; the pid that was hit, or None where nothing ran. `keep_away`: not restarted until `release`."""
        if keep_away:
            self._wanted.clear()
        async with self._changing:
            child = self._child
            if child is None or child.returncode is not None:
                return None
            with suppress(ProcessLookupError):
                self._hit(child)
            await child.wait()
            return child.pid

    def _hit(self, child: asyncio.subprocess.Process) -> None:
        """Send SIGKILL. What is killed with the child must have ended when the child has."""
        child.kill()

    def release(self) -> None:
        """Let it run again after `kill(keep_away=True)`."""
        self._wanted.set()

    async def stop(self) -> None:
        """End it: its stop signal, then SIGKILL after the grace. Safe to call twice."""
        if self._supervisor is not None:
            self._supervisor.cancel()
            await asyncio.gather(self._supervisor, return_exceptions=True)
            self._supervisor = None
        child = self._child
        if child is None or child.returncode is not None:
            return
        with suppress(ProcessLookupError):
            child.send_signal(signal.SIGCONT)
            child.send_signal(self._command.stop_signal)
        try:
            async with asyncio.timeout(self._grace):
                await child.wait()
        except TimeoutError:
            with suppress(ProcessLookupError):
                child.kill()
            await child.wait()

    def last_words(self, lines: int = 5) -> str:
        """The end of its log, and where the log is."""
        try:
            text = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:]
        except OSError:
            text = []
        return "\n".join((*text, f"(log: {self.log})"))

    def check(self) -> None:
        """Raise ProcessDied where it is not running although it should be."""
        if self._wanted.is_set() and self.pid is None:
            raise ProcessDied(f"{self.name} ended:\n{self.last_words()}")

    async def _spawn(self) -> None:
        command = self._command
        with os.fdopen(os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab") as log:
            try:
                self._child = await asyncio.create_subprocess_exec(
                    *command.arguments,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    **_conditions(command),
                )
            except OSError as error:
                raise ProcessDied(f"{self.name}: {command.arguments[0]} cannot be run: {error.strerror}") from error
        self._started_at = time.time()
        self.starts += 1

    async def _supervise(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while True:
            if self._child is not None:
                await self._child.wait()
            lived = time.time() - self._started_at
            pause = FIRST_PAUSE_SECONDS if lived > QUIET_SECONDS else min(LONGEST_PAUSE_SECONDS, pause * 2)
            await asyncio.sleep(pause)
            await self._wanted.wait()
            async with self._changing:
                if not self._wanted.is_set():
                    continue
                # A machine that cannot start a process now (no memory, too many of them) may in a moment.
                with suppress(ProcessDied):
                    await self._spawn()


def _conditions(command: Command) -> dict[str, Any]:
    """Under which a child runs: it ends with this process, and what it writes is its owner's alone."""
    inherited = os.environ if command.inherited is None else command.inherited
    return {
        "env": {**inherited, **command.environment},
        "cwd": command.folder,
        # Its own session: Ctrl-C in the terminal reaches this process alone, which then ends in order.
        "start_new_session": True,
        "preexec_fn": die_with_parent(),
        "user": command.user,
        "group": command.group,
        "extra_groups": [] if command.user is not None else None,
        "umask": 0o077,
    }
