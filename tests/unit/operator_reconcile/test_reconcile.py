"""Whole reconciles on an API server in memory: what is applied, and what the status says when something goes wrong."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import timedelta

import pytest

from chronicle_kube.kind import Kind
from chronicle_operator.kube import errors, kinds
from chronicle_operator.secrets import certificates
from support.operator_objects import NOW
from support.operator_world import KEY, World

Refusal = Callable[[str, Kind, str], errors.KubeError | None]


def refuse(verb: str, kind: str, error: errors.KubeError) -> Refusal:
    """Return trouble with one verb on one kind."""
    return lambda asked, found, _: error if (asked, found.kind) == (verb, kind) else None


async def ready() -> World:
    world = World()
    await world.settle()
    assert world.condition("Ready")["status"] == "True"
    assert world.condition("Progressing")["reason"] == "UpToDate"
    return world


async def test_a_ledger_becomes_ready_and_an_idle_one_is_only_read() -> None:
    world = await ready()
    world.kube.calls.clear()
    await world.reconcile()
    assert {verb for verb, _, _ in world.kube.calls} == {"get", "list"}


@pytest.mark.parametrize(
    "error",
    [
        errors.Forbidden("list Service ns", "no right"),
        errors.Unreachable("list Service ns", "no answer"),
        errors.ServerError("list Service ns", "etcd"),
    ],
    ids=lambda it: type(it).__name__,
)
async def test_a_ledger_that_cannot_be_looked_at_is_not_called_ready_any_longer(error: errors.KubeError) -> None:
    world = await ready()
    world.kube.trouble = refuse("list", "Service", error)
    with pytest.raises(type(error)):
        await world.reconcile()
    found = world.condition("Ready")
    assert (found["status"], found["reason"]) == ("Unknown", error.reason)
    assert str(error) in found["message"]
    assert errors.advice(error) in found["message"]
    assert world.condition("Progressing")["status"] == "False"
    assert world.condition("CockroachReady")["status"] == "True", "as last seen"
    world.kube.trouble = lambda *_: None
    await world.reconcile()
    assert world.condition("Ready")["status"] == "True"


async def test_being_throttled_while_looking_takes_nothing_from_a_ready_ledger() -> None:
    world = await ready()
    world.kube.trouble = refuse("list", "Service", errors.Throttled("list Service ns", "later"))
    with pytest.raises(errors.Throttled):
        await world.reconcile()
    assert world.condition("Ready")["status"] == "True"
    assert world.condition("Progressing")["reason"] == "Throttled"


async def test_a_webhook_that_guards_services_does_not_keep_deployments_from_being_applied() -> None:
    world = await ready()
    broken = errors.WebhookFailed("patch Service x", 'failed calling webhook "guard"')
    world.kube.trouble = refuse("patch", "Service", broken)
    world.restart()  # it applies everything once
    world.edit(events={"relayReplicas": 4})
    with pytest.raises(errors.WebhookFailed):
        await world.reconcile()
    assert world.kube.find(kinds.DEPLOYMENT, "main-relay")["spec"]["replicas"] == 4
    found = world.condition("Ready")
    assert (found["status"], found["reason"]) == ("Unknown", "WebhookFailed")
    assert "guard" in found["message"]


async def test_where_nobody_answers_the_rest_is_not_tried_and_the_status_says_so_if_it_can() -> None:
    world = await ready()
    asked: list[str] = []

    def dead(verb: str, kind: Kind, name: str) -> errors.KubeError | None:
        if verb != "patch":
            return None
        asked.append(name)
        return errors.Unreachable(f"patch {kind.kind} {name}", "no answer")

    world.kube.trouble = dead
    world.restart()
    with pytest.raises(errors.Unreachable):
        await world.reconcile()
    assert len(asked) == 1
    assert world.condition("Ready")["reason"] == "ApiServerUnreachable"


async def test_a_failure_that_cannot_even_be_written_down_is_still_the_one_that_is_raised() -> None:
    world = await ready()

    def dead(verb: str, kind: Kind, name: str) -> errors.KubeError | None:
        if (verb, kind) == ("list", kinds.POD):
            return errors.Forbidden("list Pod", "no right")
        return errors.Unreachable("status", "no answer") if verb == "patch/status" else None

    world.kube.trouble = dead
    with pytest.raises(errors.Forbidden):
        await world.reconcile()


async def test_what_a_run_of_scenarios_may_not_do_is_in_the_status_and_the_ledger_stays_ready() -> None:
    world = await ready()
    world.kube.trouble = refuse("list", "PodChaos", errors.Forbidden("list PodChaos", "no right"))
    world.edit(resilience={"runID": "one"})
    with pytest.raises(errors.Forbidden):
        await world.reconcile()
    found = world.condition("Progressing")
    assert (found["status"], found["reason"]) == ("False", "Forbidden")
    assert "list PodChaos" in found["message"]
    assert world.condition("Ready")["status"] == "True"


async def test_an_error_that_nobody_expected_is_in_the_status_without_its_words_and_is_raised_for_the_log(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = await ready()

    def bug(*_: object) -> None:
        raise KeyError("a password")

    monkeypatch.setattr("chronicle_operator.reconcile.reconcile.desired", bug)
    with pytest.raises(KeyError):
        await world.reconcile()
    found = world.condition("Ready")
    assert (found["status"], found["reason"]) == ("Unknown", "InternalError")
    assert "KeyError at test_reconcile.py" in found["message"]
    assert "password" not in str(world.ledger["status"])


async def test_a_reconcile_that_takes_too_long_says_so_before_the_queue_cuts_it_off() -> None:
    import asyncio

    world = await ready()
    world.reconciler._limit = 0.01

    async def slow(*_: object) -> list[dict[str, object]]:
        await asyncio.Event().wait()
        return []

    world.kube.list = slow  # type: ignore[method-assign, assignment]
    with pytest.raises(TimeoutError):
        await world.reconcile()
    assert world.condition("Ready")["reason"] == "ReconcileTimedOut"


async def test_a_job_that_is_made_anew_does_not_make_a_ready_ledger_less_ready() -> None:
    world = await ready()
    job = next(it for it in world.kube.of(kinds.JOB) if "-migration-" in it["metadata"]["name"])
    job["status"] = {"conditions": [{"type": "Failed", "status": "True"}]}
    with pytest.raises(errors.Conflict):
        await world.reconcile()
    assert world.condition("Ready")["status"] != "Unknown"
    assert world.condition("Ready")["reason"] != "Conflict"
    assert world.condition("Progressing")["reason"] == "Conflict"
    await world.settle()
    assert world.condition("Ready")["status"] == "True"


async def test_a_key_taken_out_of_its_secret_by_hand_stops_nothing() -> None:
    world = await ready()
    secret = world.kube.find(kinds.SECRET, "main-admin-key")
    secret["data"] = {}
    world.edit(events={"relayReplicas": 4})
    await world.reconcile()
    assert world.kube.find(kinds.SECRET, "main-admin-key")["data"]["key"]
    assert world.kube.find(kinds.DEPLOYMENT, "main-relay")["spec"]["replicas"] == 4


@pytest.mark.parametrize("name", ["main-ca", "main-admin-key"])
async def test_a_secret_that_lost_its_labels_is_found_by_its_name_and_kept(name: str) -> None:
    world = await ready()
    secret = world.kube.find(kinds.SECRET, name)
    data = dict(secret["data"])
    secret["metadata"]["labels"] = {}
    await world.reconcile()
    secret = world.kube.find(kinds.SECRET, name)
    assert secret["data"] == data
    assert secret["metadata"]["labels"]["app.kubernetes.io/instance"] == "main"
    assert world.condition("CertificatesReady")["status"] == "True"


@pytest.mark.parametrize(("days", "status"), [(89, "True"), (29, "False")])
async def test_the_end_of_the_authority_is_told_in_time_with_what_to_do(days: int, status: str) -> None:
    world = await ready()
    world.now = NOW + certificates.AUTHORITY_LIFE - timedelta(days=91)
    await world.settle(1)
    assert world.condition("CertificatesReady")["reason"] == "Valid"
    world.now = NOW + certificates.AUTHORITY_LIFE - timedelta(days=days)
    await world.reconcile()
    found = world.condition("CertificatesReady")
    assert (found["status"], found["reason"]) == (status, "AuthorityExpiresSoon")
    assert "delete Secret main-ca" in found["message"]
    assert world.condition("Ready")["status"] == status
    assert ("AuthorityExpiresSoon", "Warning") in {(it["reason"], it["type"]) for it in world.kube.of(kinds.EVENT)}


async def test_a_pause_leaves_the_gauge_of_a_ready_ledger_at_one() -> None:
    world = await ready()
    world.edit(reconciliation="Paused")
    await world.reconcile()
    assert world.condition("ReconciliationPaused")["status"] == "True"
    labels = {"namespace": KEY.namespace, "name": KEY.name}
    assert world.metrics.registry.get_sample_value("chronicle_operator_ledger_ready", labels) == 1


async def test_a_ledger_that_is_gone_is_nothing_to_do() -> None:
    world = World()
    world.kube.objects.clear()
    assert await world.reconcile() is None


class Killed(BaseException):
    """The operator's end, in the middle of whatever it does."""


@pytest.mark.parametrize("share", [0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.75, 0.9])
async def test_an_operator_that_dies_between_two_requests_is_continued_by_the_next_one(share: float) -> None:
    world, requests = await cut_off_after(REQUESTS * share)
    assert requests > REQUESTS * share, "it was killed before all was done"
    world.kube.trouble = lambda *_: None
    world.restart()
    await world.settle()
    assert world.condition("Ready")["status"] == "True"
    whole, _ = await cut_off_after(10 * REQUESTS)
    assert children(world) == children(whole)


REQUESTS = 200
"""About as many as it takes until a new ledger is ready."""


async def cut_off_after(most: float) -> tuple[World, int]:
    """Return a new ledger whose operator was killed after so many requests, and how many it made."""
    world = World()
    asked = 0

    def dies(*_: object) -> None:
        nonlocal asked
        asked += 1
        if asked > most:
            raise Killed

    world.kube.trouble = dies
    with contextlib.suppress(Killed):
        await world.settle()
    return world, asked


def children(world: World) -> set[tuple[str, str, str, str]]:
    """What there is, but for the Events that tell how it came about."""
    return {key for key in world.kube.objects if key[1] != "Event"}
