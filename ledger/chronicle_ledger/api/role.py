"""The API as a role of the service: what it opens at start, when it is ready, how it drains."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime
from functools import partial
from typing import Any

from chronicle_ledger import __version__, logs, metrics, sabotage
from chronicle_ledger.api.app import build as build_app
from chronicle_ledger.api.pools import Pools, open_pools
from chronicle_ledger.ending import end
from chronicle_ledger.health.clock import ClockComponent
from chronicle_ledger.health.database import DatabaseComponent
from chronicle_ledger.health.events import of_events
from chronicle_ledger.health.health import Component, Health
from chronicle_ledger.health.readiness import Readiness
from chronicle_ledger.posting.clocks import Clocks
from chronicle_ledger.posting.expiry import HoldExpiry
from chronicle_ledger.posting.service import PostingLimits, PostingService
from chronicle_ledger.process import Lifecycle, ProcessError
from chronicle_ledger.proof.reader import EventsReader
from chronicle_ledger.settings import Settings
from chronicle_ledger.store import reads
from chronicle_ledger.watch import reload_on_change
from chronicle_ledger.web.access import Keyring
from chronicle_ledger.web.service import Service
from chronicle_ledger.web.stream import Streams

log = logs.get(__name__)


class ApiRole:
    """Serves HTTP; beside it, expires holds and reads a changed key file anew."""

    name = "api"

    def __init__(self, settings: Settings, lifecycle: Lifecycle) -> None:
        self._settings = settings
        self._lifecycle = lifecycle
        self._sabotage = sabotage.active()
        self._keyring = _keyring(settings)
        self._done = asyncio.Event()
        self._pools: Pools | None = None
        self._service: Service | None = None
        self._events: EventsReader | None = None
        self._app: Any = None

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        """The ASGI application, which exists once `start` has run."""
        await self._app(scope, receive, send)

    async def start(self) -> None:
        """Open the pool (which connects in the background) and put the service together."""
        settings = self._settings
        self._pools = pools = await open_pools(settings)
        clocks = Clocks(tolerance=settings.clock_tolerance)
        posting = PostingService(
            pools.postings,
            reads=pools.reads,
            clocks=clocks,
            limits=PostingLimits(deadline=settings.request_deadline, max_bytes=settings.batch_bytes),
            metrics=metrics.Posting(),
            sabotage=self._sabotage,
        )
        about = {"instance": settings.instance, "region": settings.region, "version": __version__}
        if self._sabotage is not None:
            about["sabotage"] = self._sabotage.value
        self._events = EventsReader(pools.reads, settings, own=pools.own)
        self._events.start()
        components: list[Component] = [
            DatabaseComponent(pools.own, status=pools.status),
            ClockComponent(partial(reads.moment, pools.own), clocks),
            *of_events(settings, self._events),
        ]
        self._service = Service(
            settings=settings,
            database=pools.reads,
            posting=posting,
            health=Health(components, about),
            events=self._events,
            streams=Streams(),
            lifecycle=self._lifecycle,
            readiness=Readiness(self, self._lifecycle),
            keyring=self._keyring,
            now=lambda: datetime.now(UTC),
        )
        self._app = build_app(self._service)
        metrics.live("chronicle_database_pool", "The pools of database connections, added up", pools.figures)
        if self._keyring is None:
            log.warning("access is open: no CHRONICLE_KEYS_FILE is set, so everybody who can connect is admin")
        await posting.start()

    async def run(self) -> None:
        """Expire holds until the drain."""
        service = self._running()
        background = [asyncio.create_task(self._expire_holds(service), name="hold expiry")]
        if self._keyring is not None:
            watching = reload_on_change([self._keyring.path], self._keyring.load)
            background.append(asyncio.create_task(watching, name="key file"))
        done = asyncio.create_task(self._done.wait(), name="done")
        try:
            ended, _ = await asyncio.wait([done, *background], return_when=asyncio.FIRST_COMPLETED)
            for task in ended - {done}:
                task.result()  # raises what ended it
        finally:
            await end(done, *background)

    async def _expire_holds(self, service: Service) -> None:
        """Sweep while the database is there; whatever a sweep meets, the API goes on without it."""
        expiry = HoldExpiry(service.posting, self._opened().own)
        while True:
            if await service.health.vital_reason() is None:
                try:
                    await expiry.sweep()
                except Exception as error:  # noqa: BLE001
                    log.warning("holds not expired; tried again", error=str(error))
            await asyncio.sleep(self._settings.hold_expiry_interval)

    async def ready(self) -> str | None:
        """Ready when the database is, and once everything has been heard of that answers within the first seconds."""
        health = self._running().health
        return await health.vital_reason() or await health.early_reason()

    async def drain(self, seconds: float) -> None:
        """Finish the postings that are queued or in flight."""
        self._done.set()
        if not await self._running().posting.drain(seconds):
            log.error("postings not finished in time; their callers retry with the same key")

    async def stop(self) -> None:
        """Close the connections."""
        if self._service is not None:
            self._service.health.close()
        if self._events is not None:
            await self._events.close()
        if self._pools is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(2.0):
                    await self._pools.close()

    def _running(self) -> Service:
        if self._service is None:
            raise RuntimeError("the API has not been started")
        return self._service

    def _opened(self) -> Pools:
        if self._pools is None:
            raise RuntimeError("the API has not been started")
        return self._pools


def _keyring(settings: Settings) -> Keyring | None:
    if settings.keys_file is None:
        return None
    try:
        return Keyring(settings.keys_file)
    except ValueError as error:
        raise ProcessError(f"CHRONICLE_KEYS_FILE: {error}") from None


def build(settings: Settings, lifecycle: Lifecycle) -> tuple[ApiRole, Any]:
    """The role and its ASGI application. Raises ProcessError and SabotageRefused."""
    role = ApiRole(settings, lifecycle)
    return role, role.app
