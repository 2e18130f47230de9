"""A ledger gets a licence from a Secret that says so, and no other Secret of its namespace."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from chronicle_operator.kube import errors, kinds
from chronicle_operator.serve.settings import Settings
from support.operator_world import World

ALLOWED = {"ledger.chronicle.dev/licence": "allowed"}
SPEC = {"cockroachdb": {"licenseSecretRef": {"name": "payments-db-ca", "key": "tls.key"}}}


def put(world: World, content: str = "crl-0-a", **metadata: Any) -> None:
    data = {"tls.key": base64.b64encode(content.encode()).decode()}
    meta = {"name": "payments-db-ca", "namespace": "ns", **metadata}
    world.kube.put(kinds.SECRET, {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "data": data})


def users_of(world: World) -> list[str]:
    """Return the objects that mention the Secret."""
    return [it["metadata"]["name"] for it in world.kube.objects.values() if "payments-db-ca" in str(it.get("spec"))]


def jobs(world: World) -> set[str]:
    return {it["metadata"]["name"] for it in world.kube.of(kinds.JOB) if "-migration-" in it["metadata"]["name"]}


@pytest.mark.parametrize(
    ("metadata", "words"),
    [({}, "lacks ledger.chronicle.dev/licence=allowed"), (None, "does not exist")],
    ids=["without the label", "not there"],
)
async def test_no_pod_mounts_a_secret_that_does_not_allow_it(metadata: dict[str, Any] | None, words: str) -> None:
    world = World(**SPEC)
    if metadata is not None:
        put(world, **metadata)
    for _ in range(6):
        with pytest.raises(errors.LicenceNotAllowed):
            await world.reconcile()
        world.run_controllers()
    assert users_of(world) == ["main"], "the ledger's own spec names it, and nothing that was made of it"
    for kind in ("Ready", "Progressing"):
        found = world.condition(kind)
        assert (found["status"], found["reason"]) == ("False", "LicenceNotAllowed")
        assert f"Secret payments-db-ca: licenseSecretRef names it, and it {words}" in found["message"]
    assert world.condition("ApiReady")["status"] == "True", "a ledger that runs goes on"


async def test_a_secret_that_allows_it_is_mounted_and_a_changed_licence_is_set_again() -> None:
    world = World(**SPEC)
    put(world, labels=ALLOWED)
    await world.settle()
    assert world.condition("Ready")["status"] == "True"
    (first,) = jobs(world)
    assert users_of(world) == ["main", first]
    put(world, "crl-0-b", labels=ALLOWED)
    await world.settle()
    (second,) = jobs(world)
    assert second != first
    assert Settings().resync <= 60, "nothing is heard of a Secret: the next look finds it, a minute later at most"
    assert world.condition("Ready")["status"] == "True"


async def test_an_entry_that_is_not_there_is_named() -> None:
    world = World(cockroachdb={"licenseSecretRef": {"name": "payments-db-ca", "key": "licence"}})
    put(world, labels=ALLOWED)
    with pytest.raises(errors.LicenceNotAllowed, match="entry licence"):
        await world.reconcile()
