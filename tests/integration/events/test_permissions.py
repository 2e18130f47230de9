"""One NATS user per process: each may do its work, and nothing that is another's."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.errors import NotFoundError

from chronicle_chaos.local.binaries import find_nats
from chronicle_chaos.local.ports import free_port
from chronicle_ledger.events.bus import close_client
from chronicle_ledger.events.feed import feed
from chronicle_ledger.events.lag import LagMeter
from chronicle_ledger.events.permissions import USERS, inbox, users
from chronicle_ledger.events.stream import CONSUMER, DEAD_STREAM, STREAM, trouble
from chronicle_ledger.proof import prove
from chronicle_ledger.proof.apart import ProofProcesses
from chronicle_ledger.proof.reconcile import Reconcile
from chronicle_ledger.store.migrate import migrate
from support import ledger_servers
from support.event_bench import EventBench, failures, until


class GuardedServer:
    """One NATS server with a user for each role, whose password is its name."""

    def __init__(self, folder: Path) -> None:
        port = free_port()
        self.urls = (f"nats://127.0.0.1:{port}",)
        path = folder / "nats.conf"
        guard = users({name: f'"{name}"' for name in USERS})
        path.write_text(f'listen: 127.0.0.1:{port}\njetstream {{ store_dir: "{folder}/data" }}\n{guard}\n')
        with (folder / "log").open("ab") as log:
            self.process: subprocess.Popen[bytes] = ledger_servers.start([str(find_nats()), "-c", str(path)], log)

    def options(self, role: str) -> dict[str, Any]:
        """What the connection of a role is made with; people and tests are `chronicle`."""
        user = role if role in USERS else "chronicle"
        return {"servers": list(self.urls), "user": user, "password": user, "inbox_prefix": inbox(role)}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedServer]:
    server = GuardedServer(tmp_path_factory.mktemp("nats"))
    yield server
    server.process.kill()
    server.process.wait(10)


class GuardedBench(EventBench):
    """Relays and projectors as users of their own, on one server."""

    def options(self, role: str) -> dict[str, Any]:
        return self.nats.options(role)  # type: ignore[attr-defined, no-any-return]

    def relay(self, **chosen: Any) -> Any:
        relay = super().relay(**chosen)
        relay._replicas = 1
        return relay


async def test_with_a_user_for_each_process_everything_works(
    guarded: GuardedServer, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await migrate(postgres_url)
    async with GuardedBench(postgres_url, guarded) as bench:  # type: ignore[arg-type]  # it asks for URLs and options
        await bench.open_accounts()
        async with bench.running(bench.relay()), bench.running(bench.projector()), bench.bus_of("api") as api:
            await bench.post(30)
            await bench.caught_up()
            js = bench.bus.jetstream()
            await js.publish("chronicle.txn.3", b"no event at all")

            async def dead() -> bool:
                row = await bench.one("SELECT dead FROM projection")
                return bool(row and row[0] == 1)

            await until(dead, "the projector puts aside what is no event")
            assert await api.wait_connected(20)
            assert await trouble(api.jetstream()) is None
            meter = LagMeter(bench.database, api)
            assert (await meter.read()).events == 0
            await meter.close()
            items = feed(api, None, from_start=True, stopped=lambda: False)
            assert [bool((await anext(items)).data) for _ in range(42)] == [True] * 42
            await items.aclose()
            assert set(failures(await prove(bench.database, api))) == {"stream"}, "by the API, as GET /v1/proof does"
            await Reconcile(bench.database, bench.bus, 1).run()
            assert failures(await prove(bench.database, api)) == {}
            monkeypatch.setenv("CHRONICLE_DATABASE_URL", postgres_url)
            monkeypatch.setenv("CHRONICLE_NATS_URLS", guarded.urls[0].replace("//", "//api:api@"))
            document = json.loads(await ProofProcesses().prove())
            assert document["result"] == "Passed", "in the process that the API starts, with the API's own user"


FORBIDDEN = {
    "api": (
        "chronicle.txn.0", "chronicle.dead", f"$JS.API.STREAM.DELETE.{STREAM}", f"$JS.API.STREAM.PURGE.{STREAM}",
        f"$JS.API.STREAM.MSG.DELETE.{STREAM}", f"$JS.API.STREAM.UPDATE.{STREAM}", f"$JS.API.STREAM.CREATE.{STREAM}",
        f"$JS.API.CONSUMER.DELETE.{STREAM}.{CONSUMER}", f"$JS.API.CONSUMER.MSG.NEXT.{STREAM}.{CONSUMER}",
        f"$JS.API.CONSUMER.DURABLE.CREATE.{STREAM}.other", f"$JS.ACK.{STREAM}.{CONSUMER}.1.1.1.1.1",
    ),
    "relay": (
        f"$JS.API.STREAM.DELETE.{STREAM}", f"$JS.API.STREAM.PURGE.{STREAM}", f"$JS.API.STREAM.MSG.DELETE.{STREAM}",
        f"$JS.API.STREAM.DELETE.{DEAD_STREAM}", f"$JS.API.CONSUMER.MSG.NEXT.{STREAM}.{CONSUMER}",
        f"$JS.API.STREAM.MSG.GET.{STREAM}", "$JS.API.STREAM.CREATE.AUDIT",
    ),
    "projector": (
        "chronicle.txn.0", f"$JS.API.STREAM.DELETE.{STREAM}", f"$JS.API.STREAM.PURGE.{STREAM}",
        f"$JS.API.STREAM.MSG.DELETE.{STREAM}", f"$JS.API.STREAM.CREATE.{STREAM}",
        f"$JS.API.CONSUMER.DELETE.{STREAM}.{CONSUMER}", f"$JS.API.STREAM.UPDATE.{STREAM}",
    ),
}  # fmt: skip


@pytest.mark.parametrize("role", sorted(FORBIDDEN))
async def test_a_process_cannot_do_what_is_another_s(guarded: GuardedServer, role: str) -> None:
    refusals: list[str] = []

    async def refused(error: Exception) -> None:
        refusals.append(str(error))

    client = Client()
    await client.connect(**guarded.options(role), error_cb=refused)
    try:
        for number, subject in enumerate(FORBIDDEN[role], start=1):
            await client.publish(subject, b"{}", reply=client.new_inbox())
            await until(_reached(refusals, number), f"{role} may not publish to {subject}", 10)
            assert "permissions violation" in refusals[-1].lower()
        for subject in (
            "chronicle.>",
            *(f"{inbox(other)}.>" for other in ("api", "relay", "projector", "cli") if other != role),
        ):
            before = len(refusals)
            await client.subscribe(subject)
            await until(_reached(refusals, before + 1), f"{role} may not listen to {subject}", 10)
    finally:
        await close_client(client)


def _reached(refusals: list[str], count: int) -> Callable[[], Awaitable[bool]]:
    async def reached() -> bool:
        return len(refusals) >= count

    return reached


async def test_nobody_without_a_user_gets_in(guarded: GuardedServer) -> None:
    client = Client()
    with pytest.raises((NatsError, OSError, TimeoutError)):
        await asyncio.wait_for(client.connect(servers=list(guarded.urls), max_reconnect_attempts=1), 10)
    await close_client(client)


async def test_people_may_delete_what_does_not_belong(guarded: GuardedServer) -> None:
    client = Client()
    await client.connect(**guarded.options("cli"))
    try:
        js = client.jetstream()
        with pytest.raises(NotFoundError):
            await js.purge_stream("NO_SUCH_STREAM")
    finally:
        await close_client(client)
