"""Whatever a hand breaks comes back, and nothing is written that nobody broke."""

from __future__ import annotations

from typing import Any

from .children import back_again, essence, identity
from .machine import Object, until
from .world import Ledger, World


def test_every_deleted_child_comes_back(first: Ledger, world: World) -> None:
    """All of them together, but those whose loss would stop the ledger: they go one by one below."""
    gentle = ("StatefulSet", "Deployment", "Secret")
    # What was created rather than applied (the Job of a seal) has a life of its own.
    children = [it for it in first.children() if it["kind"] not in gentle and is_applied(it)]
    before = {identity(it): it["metadata"]["uid"] for it in children}
    world.kubectl("-n", first.namespace, "delete", *before)
    back_again(first, before, seconds=60)
    first.wait_ready(120)


def test_deleted_stateful_sets_and_deployments_come_back_one_by_one(first: Ledger, world: World) -> None:
    for kind in ("Deployment", "StatefulSet"):
        for item in [it for it in first.children() if it["kind"] == kind]:
            before = {identity(item): item["metadata"]["uid"]}
            # Orphaned pods are adopted again: the data never notices.
            world.kubectl("-n", first.namespace, "delete", identity(item), "--cascade=orphan")
            back_again(first, before, seconds=30)
    first.wait_ready(120)


def test_a_key_taken_out_of_its_secret_is_made_anew(first: Ledger, world: World) -> None:
    """That of scenario runs: nobody holds it until the first run, some minutes from here."""
    name = f"{first.name}-scenario-key"

    def key() -> str | None:
        found = world.kubectl.get("secret", name, first.namespace) or {}
        return (found.get("data") or {}).get("key")

    before = key()
    world.kubectl.merge("secret", name, first.namespace, {"data": {"key": None}})
    until("there is another key", lambda: (found := key()) and found != before, seconds=60)
    first.wait_ready(90)


EDITS: dict[str, Any] = {
    "Service": {"spec": {"selector": {"app.kubernetes.io/component": "nobody"}}},
    "ConfigMap": None,  # every entry is overwritten, see below
    "StatefulSet": {"spec": {"persistentVolumeClaimRetentionPolicy": {"whenScaled": "Delete"}}},
    "Deployment": {"spec": {"replicas": 7}},
    "ServiceAccount": {"metadata": {"labels": {"app.kubernetes.io/managed-by": "somebody"}}},
    "Role": {"rules": []},
    "RoleBinding": {"metadata": {"labels": {"app.kubernetes.io/instance": "another"}}},
    "Secret": {"metadata": {"labels": {"app.kubernetes.io/managed-by": "somebody"}}},
    "NetworkPolicy": {"spec": {"podSelector": {"matchLabels": {"app.kubernetes.io/instance": "another"}}}},
    "PodDisruptionBudget": {"spec": {"maxUnavailable": 3}},
}


def test_every_edited_child_is_mended(first: Ledger, world: World) -> None:
    originals = {identity(it): it for it in first.children() if it["kind"] in EDITS}
    applied = {name: it for name, it in originals.items() if is_applied(it)}
    assert {it["kind"] for it in applied.values()} >= {"Service", "StatefulSet", "Deployment", "ConfigMap"}
    for name, item in applied.items():
        kind, _, bare = name.partition("/")
        patch = EDITS[kind] or {"data": dict.fromkeys(item["data"], "# edited by hand")}
        world.kubectl.merge(kind, bare, first.namespace, patch)

    def wrong() -> list[str]:
        now = {identity(it): it for it in first.children()}
        return [name for name, item in applied.items() if name not in now or essence(now[name]) != essence(item)]

    try:
        until("every edit is undone", lambda: not wrong(), seconds=90)
    except AssertionError as late:
        raise AssertionError(f"{late}: {wrong()}") from None
    first.wait_ready(180)


def is_applied(item: Object) -> bool:
    return any(
        entry["manager"] == "chronicle-operator" and entry["operation"] == "Apply"
        for entry in item["metadata"].get("managedFields", [])
    )
