"""One of the served namespaces is deleted, and with it the operator's rights in it: the others are served on."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import kopf
import pytest

from chronicle_kube.kind import Kind
from chronicle_operator.kube import errors, kinds
from chronicle_operator.reconcile.resync import listed, resync
from chronicle_operator.reconcile.workqueue import LedgerKey, WorkQueue
from chronicle_operator.serve import handlers
from chronicle_operator.serve.liveness import Heartbeat
from chronicle_operator.serve.metrics import Metrics
from chronicle_operator.serve.settings import Settings
from support.fake_api_server import FakeApiServer
from support.memory_kube import MemoryKube, Object

SETTINGS = Settings(("gone", "here"))
GONE = errors.Forbidden("list ChronicleLedger gone", "no right")


def ledger(namespace: str) -> Object:
    meta = {"name": "main", "namespace": namespace, "generation": 1}
    return {"apiVersion": kinds.LEDGER.api_version, "kind": kinds.LEDGER.kind, "metadata": meta, "spec": {}}


class Namespaces(MemoryKube):
    """An API server that refuses everything in some namespaces."""

    forbidden: frozenset[str] = frozenset()

    async def list(self, kind: Kind, namespace: str | None, labels: Any = None, fields: Any = None) -> list[Object]:
        if namespace in self.forbidden:
            raise GONE
        return await super().list(kind, namespace, labels, fields)


async def test_the_ledgers_of_the_other_namespaces_are_listed() -> None:
    kube = Namespaces(ledger("here"), ledger("gone"))
    kube.forbidden = frozenset({"gone"})
    found = await listed(kube, SETTINGS.namespaces)
    assert found.ledgers == {LedgerKey("here", "main")}
    assert found.failed == {"gone": GONE}
    known = {LedgerKey("here", "old"), LedgerKey("gone", "main")}
    assert found.gone(known) == {LedgerKey("here", "old")}, "of what cannot be seen nothing is known"


async def test_a_namespace_that_is_gone_is_named_once_in_the_log_and_in_a_metric(
    caplog: pytest.LogCaptureFixture,
) -> None:
    kube, metrics, woken = Namespaces(ledger("here"), ledger("gone")), Metrics(), []
    kube.forbidden = frozenset({"gone"})

    async def reconcile(key: LedgerKey) -> None:
        woken.append(key)

    queue = WorkQueue(reconcile, clock=time.monotonic, settle_seconds=0)
    heartbeat = Heartbeat(time.monotonic, 90)
    quick = Settings(SETTINGS.namespaces, resync=0.005)
    with caplog.at_level(logging.INFO):
        loop = asyncio.create_task(resync(kube, queue, heartbeat, quick, metrics.report_namespace))
        await until(lambda: woken.count(LedgerKey("here", "main")) >= 3)
        assert served(metrics) == {"gone": 0.0, "here": 1.0}
        assert len([it for it in caplog.messages if "namespace gone" in it]) == 1
        assert LedgerKey("gone", "main") not in woken
        kube.forbidden = frozenset()
        await until(lambda: LedgerKey("gone", "main") in woken)
        assert "namespace gone can be listed again" in caplog.messages
    assert served(metrics) == {"gone": 1.0, "here": 1.0}
    assert heartbeat.age < 90
    loop.cancel()
    await queue.close()


async def test_where_no_namespace_answers_no_ledger_is_forgotten() -> None:
    kube = Namespaces(ledger("here"))
    kube.forbidden = frozenset(SETTINGS.namespaces)
    assert (await listed(kube, SETTINGS.namespaces)).gone({LedgerKey("here", "main")}) == set()
    kube.trouble = lambda *_: errors.Unreachable("list", "no answer")
    assert (await listed(kube, ())).gone({LedgerKey("here", "main")}) == set()


async def test_kopf_goes_on_watching_the_other_namespaces_and_takes_the_lost_one_up_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(handlers.Patience, "FIRST", ())
    monkeypatch.setattr(handlers.Patience, "LONGEST", 0.02)
    async with FakeApiServer() as server, watching(server) as heard:
        server.forbidden.add("gone")
        await until(lambda: len(at(server, "here")) == 2)
        server.close_watches("gone")
        await until(lambda: at(server, "gone") == [])
        asked = server.refused
        await until(lambda: server.refused > asked + 30)
        server.send(kinds.LEDGER, ledger("here"))
        await until(lambda: heard == ["here"])
        server.forbidden.clear()
        await until(lambda: len(at(server, "gone")) == 2)
        server.send(kinds.LEDGER, ledger("gone"))
        await until(lambda: heard == ["here", "gone"])
        assert handlers.watches() == 4


def test_a_watch_is_never_given_up_and_its_pauses_have_a_bound() -> None:
    pauses = [pause for pause, _ in zip(handlers.Patience(), range(50), strict=False)]
    assert len(pauses) == 50
    assert pauses[0] <= 1 < max(pauses) <= 60
    chosen = handlers.kopf_settings(SETTINGS, ())
    assert isinstance(chosen.networking.error_backoffs, handlers.Patience)


def served(metrics: Metrics) -> dict[str, float]:
    (family,) = [it for it in metrics.registry.collect() if it.name == "chronicle_operator_namespace_served"]
    return {sample.labels["namespace"]: sample.value for sample in family.samples}


def at(server: FakeApiServer, namespace: str) -> list[tuple[str, str]]:
    return [it for it in server.watching if it[0] == namespace]


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110 - what is waited for is another's state
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def watching(server: FakeApiServer) -> AsyncIterator[list[str]]:
    """Have Kopf watch ledgers and Services in both namespaces; yields the namespaces of the ledgers it told of."""
    heard: list[str] = []
    registry, stop = kopf.OperatorRegistry(), asyncio.Event()

    @kopf.on.login(registry=registry)
    async def login(**_: Any) -> kopf.ConnectionInfo:
        return kopf.ConnectionInfo(server=server.url)

    async def on_event(body: kopf.Body, **_: Any) -> None:
        heard.append(str(body["metadata"]["namespace"]))

    services = next(it for it in kinds.CHILDREN if it.kind == "Service")
    for kind in (kinds.LEDGER, services):
        kopf.on.event(kind.group, kind.version, kind.plural, registry=registry, id=kind.plural)(on_event)
    identity: Any = "test"  # as the operator gives it: Kopf's own type of it is a str, and not exported
    running = asyncio.create_task(
        kopf.operator(
            registry=registry,
            settings=handlers.kopf_settings(SETTINGS, (services,)),
            standalone=True,
            identity=identity,
            namespaces=SETTINGS.namespaces,
            stop_flag=stop,
        )
    )
    try:
        yield heard
    finally:
        stop.set()
        server.close_watches()
        await running
