"""What the injector of local processes does, says it did, and takes back, on a cluster in memory."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from chronicle_chaos.faults import crashes as crashing
from chronicle_chaos.faults.crashes import Crashes
from chronicle_chaos.faults.fault import Component
from chronicle_chaos.faults.outage import Outage
from chronicle_chaos.injectors.injection import CleanupFailed, Injection
from chronicle_chaos.injectors.local import hands as local
from chronicle_chaos.injectors.local.injector import LocalInjector
from support.fake_control import TARGET, Cluster, FakeControl, Undone, an_instance

FOUR_CRASHES = Crashes(Component.API, times=4)


def a_ledger() -> Cluster:
    names = [f"{component}-{n}" for component in ("api", "nats", "cockroach") for n in (1, 2, 3)]
    return Cluster([an_instance(name) for name in names])


def injector_of(cluster: Cluster) -> LocalInjector:
    return LocalInjector(TARGET, FakeControl(cluster=cluster))


@pytest.fixture
def ready(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The URLs whose readiness probe answers."""
    urls: set[str] = set()

    async def api_ready(url: str) -> bool:
        return url in urls

    monkeypatch.setattr(local, "api_ready", api_ready)
    monkeypatch.setattr(crashing, "LATE_SECONDS", 0.2)
    return urls


async def test_every_crash_that_was_asked_for_is_done_or_shown_not_to_be(ready: set[str]) -> None:
    cluster = a_ledger()
    injector = injector_of(cluster)
    ready.update(i.url for i in cluster.instances)
    crash = await injector.inject(FOUR_CRASHES, Undone(), Random(1))
    ready.clear()
    nobody_is_ready = await injector.during(crash, 0.3)
    assert [(o.subject, o.shows_fault) for o in nobody_is_ready] == [(f"crash {n}", False) for n in (2, 3, 4)]
    ready.update(i.url for i in cluster.instances)
    all_are = await injector.during(crash, 0.3)
    assert [o.shows_fault for o in all_are] == [True] * 3


async def test_a_crash_of_the_last_one_that_serves_is_not_done(ready: set[str]) -> None:
    cluster = Cluster([an_instance("api-1", 1), an_instance("api-2", 2)])
    injector = injector_of(cluster)
    ready.update(i.url for i in cluster.instances)
    crash = await injector.inject(Crashes(Component.API, times=2), Undone(), Random(1))
    ready.remove("http://127.0.0.1:2")
    (missing,) = await injector.during(crash, 0.3)
    assert not missing.shows_fault
    assert missing.after == "none was killed: 1 of 2 instances were ready, and one has to be left"


async def test_a_crash_that_finds_nobody_ready_in_its_window_is_made_a_little_later(
    ready: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crashing, "LATE_SECONDS", 10.0)
    cluster = Cluster([an_instance("api-1", 1), an_instance("api-2", 2)])
    injector = injector_of(cluster)
    ready.update(i.url for i in cluster.instances)
    crash = await injector.inject(Crashes(Component.API, times=2), Undone(), Random(1))
    ready.clear()
    during = asyncio.create_task(injector.during(crash, 0.1))
    await asyncio.wait([during], timeout=0.3)
    assert not during.done()
    ready.update(i.url for i in cluster.instances)
    (late,) = await during
    assert late.shows_fault


async def test_all_that_later_crashes_may_hit_is_in_the_undo_log_before_the_first(
    ready: set[str],
) -> None:
    undo = Undone()
    cluster = a_ledger()
    ready.update(i.url for i in cluster.instances)
    await injector_of(cluster).inject(FOUR_CRASHES, undo, Random(1))
    assert undo.entries == [{"release": ["api-1", "api-2", "api-3"]}]


async def test_links_that_stay_cut_keep_no_killed_node_away() -> None:
    cluster = a_ledger()
    injector = injector_of(cluster)
    outage = await injector.inject(Outage(Component.NATS), Undone(), Random(1))
    assert cluster.away == {"nats-1", "nats-2", "nats-3"}
    cluster.refuses = {"links", "nats-2"}
    with pytest.raises(CleanupFailed) as left:
        await injector.heal(outage)
    assert cluster.away == {"nats-2"}
    assert "links does not obey" in str(left.value)
    assert "nats-2: nats-2 does not obey" in str(left.value)
    assert left.value.next_step == "stop `chronicle up` and start it again"


async def test_healing_knows_nothing_of_what_was_injected_and_may_be_repeated() -> None:
    cluster = a_ledger()
    injector = injector_of(cluster)
    await injector.inject(Outage(Component.NATS), Undone(), Random(1))
    for _ in range(2):
        await injector.heal(Injection(Outage(Component.NATS), ()))
    assert not cluster.away
    assert all(i.pid for i in cluster.instances)


async def test_the_same_seed_draws_the_same_moments_of_crashes(ready: set[str]) -> None:
    cluster = a_ledger()
    ready.update(i.url for i in cluster.instances)
    first, again, other = [
        (await injector_of(cluster).inject(FOUR_CRASHES, Undone(), Random(seed))).state["seed"] for seed in (1, 1, 2)
    ]
    assert first == again != other
