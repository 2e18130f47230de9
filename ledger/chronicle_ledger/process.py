"""How every role of the service lives and ends: one process, one HTTP listener, one bounded drain.

    start → listen → run … SIGTERM → unready at once → drain delay → listener closed, requests finished
          → role drained → stopped → exit 0

A role never waits for its dependencies at start: it listens first, is alive, and says by /readyz what it waits for.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import time
from typing import NoReturn, Protocol

from chronicle_ledger import logs, metrics
from chronicle_ledger.ending import end
from chronicle_ledger.listener import sockets
from chronicle_ledger.listener.server import ASGIApp, Listener, certificates, configuration
from chronicle_ledger.settings import Settings
from chronicle_ledger.watch import reload_on_change

log = logs.get(__name__)


class ProcessError(Exception):
    """The process cannot start; the message names the setting to change."""


class Role(Protocol):
    """What a process does besides answering HTTP."""

    name: str

    async def start(self) -> None:
        """Make what `run` needs. Must not wait for a server that may be down."""

    async def run(self) -> None:
        """Work until `drain` asks for the end. Raising ends the process with status 1."""

    async def ready(self) -> str | None:
        """None when work can be done, else the reason why not (for /readyz)."""

    async def drain(self, seconds: float) -> None:
        """Finish what is in hand within `seconds` and let `run` return."""

    async def stop(self) -> None:
        """Close what `start` opened; called in every case, also after a failed start."""


class Lifecycle:
    """Whether the process is on its way out; shared with whoever answers /readyz."""

    def __init__(self) -> None:
        self._draining = asyncio.Event()
        self._hurried = asyncio.Event()

    @property
    def draining(self) -> bool:
        """True from the first SIGTERM or SIGINT on."""
        return self._draining.is_set()

    def begin_drain(self) -> None:
        """The first call begins the drain, a second one (an impatient Ctrl-C) skips the drain delay."""
        if self._draining.is_set():
            self._hurried.set()
        self._draining.set()
        metrics.READY.set(0)

    async def drained(self) -> None:
        """Wait for the drain to begin."""
        await self._draining.wait()

    async def delay(self, seconds: float) -> None:
        """Wait `seconds`, less where a second signal comes."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._hurried.wait()


async def serve(settings: Settings, role: Role, app: ASGIApp, lifecycle: Lifecycle) -> int:
    """Run `role` beside `app` until a signal or a failure; return the exit status. Raises ProcessError."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, lifecycle.begin_drain)
    listening = _bind(settings)
    listener = _listener(settings, app)
    background: list[asyncio.Task[None]] = []
    try:
        await role.start()
        served = asyncio.create_task(listener.serve(sockets=[listening]), name="listener")
        working = asyncio.create_task(role.run(), name=f"{role.name}: run")
        background = [*_reload_certificates(settings, listener), working]
        log.info("listening", role=role.name, host=settings.listen_host, port=listening.getsockname()[1])
        ending = asyncio.create_task(lifecycle.drained(), name="signals")
        background.append(ending)
        await asyncio.wait({ending, served, working}, return_when=asyncio.FIRST_COMPLETED)
        failed = not ending.done()
        if failed:  # not called again after a signal: a second call means haste
            lifecycle.begin_drain()
        log.info("draining", role=role.name, seconds=settings.drain_timeout)
        await _drain(settings, role, lifecycle, listener, served)
        await asyncio.wait({working}, timeout=1.0)
        failed = failed or _report(working, served)
    finally:
        await end(*background)
        await role.stop()
        listening.close()
    log.info("ended", role=role.name, failed=failed)
    return 1 if failed else 0


async def _drain(
    settings: Settings, role: Role, lifecycle: Lifecycle, listener: Listener, served: asyncio.Task[None]
) -> None:
    deadline = time.monotonic() + settings.drain_delay + settings.drain_timeout
    if not served.done():
        await lifecycle.delay(settings.drain_delay)
    # From here no connection is accepted; uvicorn finishes the requests in flight, within timeout_graceful_shutdown.
    listener.should_exit = True
    await asyncio.wait({served})
    left = max(0.1, deadline - time.monotonic())
    try:
        async with asyncio.timeout(left + 1.0):
            await role.drain(left)
    except TimeoutError:
        log.warning("drain not finished in time; what is left is retried by its caller", role=role.name)


def _report(*tasks: asyncio.Task[None]) -> bool:
    failed = False
    for task in tasks:
        if task.done() and not task.cancelled() and (error := task.exception()) is not None:
            log.error("failed", task=task.get_name(), exc_info=error)
            failed = True
    return failed


def _bind(settings: Settings) -> socket.socket:
    try:
        return sockets.bound(settings.listen_host, settings.listen_port)
    except OSError as error:
        raise ProcessError(
            f"cannot listen on {settings.listen_host}:{settings.listen_port} ({error.strerror}):"
            " change CHRONICLE_LISTEN_HOST or CHRONICLE_LISTEN_PORT, or end what listens there"
        ) from None


def _listener(settings: Settings, app: ASGIApp) -> Listener:
    try:
        return Listener(configuration(settings, app))
    except OSError as error:  # ssl.SSLError is one
        raise ProcessError(f"CHRONICLE_TLS_CERT_FILE or CHRONICLE_TLS_KEY_FILE cannot be used: {error}") from None


def _reload_certificates(settings: Settings, listener: Listener) -> list[asyncio.Task[None]]:
    """New handshakes take a renewed certificate; connections that exist keep theirs, so nobody is cut off."""
    current = certificates(settings, listener)
    if current is None or settings.tls_cert_file is None or settings.tls_key_file is None:
        return []
    watching = reload_on_change([settings.tls_cert_file, settings.tls_key_file], current.load)
    return [asyncio.create_task(watching, name="certificates")]


def run(settings: Settings, role: Role, app: ASGIApp, lifecycle: Lifecycle) -> NoReturn:
    """`serve` on uvloop, where there is one, and end the process with its status. Raises ProcessError."""

    async def to_the_end() -> NoReturn:
        _leave(await serve(settings, role, app, lifecycle))

    try:
        import uvloop
    except ImportError:
        asyncio.run(to_the_end())
    else:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(to_the_end())


def _leave(status: int) -> NoReturn:
    """End the process without waiting for its threads and tasks; all that matters has been closed by now.

    A thread that asks a silent name server, say, cannot be interrupted, and the loop (for up to 300 s), the interpreter
    and libuv would each wait for it, while whoever stops the process waits for them.
    """
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
