"""A ledger with relays and projectors around it, on real servers, and what tests ask of them."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import time
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self

from nats.errors import Error as NatsError

from chronicle_ledger.ending import end
from chronicle_ledger.events.bus import Bus
from chronicle_ledger.events.lag import LagMeter
from chronicle_ledger.events.projector import Projector
from chronicle_ledger.events.publisher import JetStreamPublisher, Publisher
from chronicle_ledger.events.relay import Relay
from chronicle_ledger.events.stream import CONSUMER, STREAM
from chronicle_ledger.posting.service import PostingService
from chronicle_ledger.proof import Proof, prove
from chronicle_ledger.proof.reconcile import Reconcile, Reconciled, Trust
from chronicle_ledger.sabotage import Sabotage
from chronicle_ledger.store.pool import Database, open_pool
from support.event_servers import NatsCluster
from support.ledger_bench import Bench, account_named, transfer

LEASE_SECONDS = 1.0
ACK_WAIT = 2.0
ACCOUNTS = [f"account {number}" for number in range(12)]


async def until(condition: Callable[[], Awaitable[bool]], what: str, seconds: float = 30) -> None:
    """Wait for a condition; fail with its name."""
    ends = time.monotonic() + seconds
    while not await condition():
        if time.monotonic() > ends:
            raise AssertionError(f"not within {seconds:g} s: {what}")
        await asyncio.sleep(0.02)


class EventBench:
    """Posting services, relays and projectors on one database and one NATS cluster."""

    def __init__(self, url: str, nats: NatsCluster) -> None:
        self.url = url
        self.nats = nats
        self.ledger = Bench([url])
        self._stack = contextlib.AsyncExitStack()
        self._numbers = itertools.count()
        self._keys = itertools.count()

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(self.ledger)
        self.posting: PostingService = await self.ledger.service()
        self.database: Database = await self._stack.enter_async_context(self._opened())
        self.bus: Bus = await self._stack.enter_async_context(self.bus_of("test"))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._stack.aclose()
        # Between two servers nats-py drops the connection that did not get through its handshake without closing it.
        # Collected now, while its loop runs, it closes itself; later it would be a warning in another test.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()

    def options(self, role: str) -> dict[str, Any]:
        """What the connection of a role is made with."""
        del role
        return {"servers": list(self.nats.urls)}

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[Database]:
        database = await self.open_database()
        try:
            yield database
        finally:
            await database.close()

    async def open_database(self) -> Database:
        """Connections of their own."""
        return await open_pool(self.url, size=3, statement_timeout=10.0)

    @asynccontextmanager
    async def bus_of(self, name: str) -> AsyncIterator[Bus]:
        """A connection to NATS of its own."""
        bus = Bus(self.options(name), name)
        bus.start()
        try:
            yield bus
        finally:
            await bus.close()

    @asynccontextmanager
    async def running(self, role: Relay | Projector) -> AsyncIterator[Any]:
        """Run a role; at the end it is drained."""
        await role.start()
        task = asyncio.create_task(role.run())
        try:
            yield task
        finally:
            if not task.done():
                await role.drain(5)
            with contextlib.suppress(asyncio.CancelledError):
                await task
            await role.stop()

    @staticmethod
    async def kill(task: asyncio.Task[Any]) -> None:
        """End a running role as SIGKILL would, without its farewells."""
        await end(task)

    def relay(self, *, publisher: Publisher | None = None, broken: Sabotage | None = None) -> Relay:
        """One more relay."""
        bus = Bus(self.options("relay"), "relay")
        name = f"relay-{next(self._numbers)}"
        return Relay(
            self.open_database, bus, publisher or JetStreamPublisher(bus, ack_seconds=2.0), worker=name, replicas=3,
            lease_seconds=LEASE_SECONDS, broken=broken,
        )  # fmt: skip

    def projector(self, *, broken: Sabotage | None = None, kind: type[Projector] = Projector) -> Projector:
        """One more projector."""
        bus = Bus(self.options("projector"), "projector")
        return kind(
            self.open_database, bus, worker=f"projector-{next(self._numbers)}",
            lease_seconds=LEASE_SECONDS, ack_wait=ACK_WAIT, broken=broken,
        )  # fmt: skip

    async def open_accounts(self) -> None:
        """Open the accounts that `post` uses."""
        await self.ledger.open(self.posting, *ACCOUNTS, floor=None)

    async def post(self, count: int, amount: int = 5) -> None:
        """Post so many transfers between the accounts."""
        commands = []
        for _ in range(count):
            number = next(self._keys)
            source, target = ACCOUNTS[number % len(ACCOUNTS)], ACCOUNTS[(number * 7 + 1) % len(ACCOUNTS)]
            if source == target:
                target = ACCOUNTS[(number + 1) % len(ACCOUNTS)]
            commands.append(transfer(f"key {number}", account_named(source), account_named(target), amount))
        results = await self.posting.submit_many(commands, atomic=False, deadline=30)
        errors = [result for result in results if isinstance(result, Exception)]
        assert not errors, errors[0]

    async def lag(self) -> int:
        """How many events the read model is behind. Raises AssertionError where nobody knows."""
        events = (await LagMeter(self.database, self.bus).read()).events
        assert events is not None, "NATS and the projector have not been heard of"
        return events

    async def backlog(self) -> int:
        """How many events wait in the outbox."""
        backlog = (await LagMeter(self.database, None).read()).backlog
        assert backlog is not None, "the outbox could not be counted in time"
        return backlog

    async def acknowledged(self) -> bool:
        """Whether the projector has acknowledged every message of the stream."""
        try:
            js = self.bus.jetstream()
            last = (await js.stream_info(STREAM)).state.last_seq
            floor = (await js.consumer_info(STREAM, CONSUMER)).ack_floor
        except NatsError:
            return False
        return floor is not None and floor.stream_seq >= last

    async def view_is_current(self) -> bool:
        """Whether every account's version in the read model is the ledger's."""
        row = await self.one(
            "SELECT count(*) FROM account a LEFT JOIN account_view v ON v.account_id = a.id AND v.generation ="
            " (SELECT generation FROM view_current) WHERE v.version IS NULL OR v.version <> a.version"
        )
        return bool(row[0] == 0)

    async def caught_up(self, seconds: float = 60) -> None:
        """Wait until the outbox is empty and the read model shows everything; on failure say what was missing."""
        backlog, current = -1, False

        async def done() -> bool:
            nonlocal backlog, current
            backlog, current = await self.backlog(), await self.view_is_current()
            return backlog == 0 and current

        try:
            await until(done, "outbox empty and read model current", seconds)
        except AssertionError as late:
            acknowledged = await self.acknowledged()
            raise AssertionError(
                f"{late}: {backlog} in the outbox, read model {'current' if current else 'behind'},"
                f" {'every' if acknowledged else 'not every'} message acknowledged"
            ) from None

    async def prove(self) -> Proof:
        """A proof, with the stream; waits for NATS."""
        assert await self.bus.wait_connected(20)
        return await prove(self.database, self.bus)

    async def reconcile(self, trust: Trust | None = None) -> Reconciled:
        """Repair."""
        return await Reconcile(self.database, self.bus, 3, trust).run()

    async def execute(self, statement: str, *parameters: Any) -> None:
        """Change a row behind the ledger's back."""
        async with self.database.connection() as conn:
            await conn.execute(statement.encode(), parameters)

    async def one(self, query: str, *parameters: Any) -> Any:
        """One row."""
        async with self.database.connection() as conn:
            return await (await conn.execute(query.encode(), parameters)).fetchone()


def failures(proof: Proof) -> dict[str, str]:
    """The checks that are not ok, with what they say."""
    return {check.name: check.document()["message"] for check in proof.checks if not check.ok}
