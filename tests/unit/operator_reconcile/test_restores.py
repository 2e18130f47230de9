"""A new ledger that begins with a backup: nothing of it is served before the backup is back and proven."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from typing import Any

import pytest

from chronicle_operator.kube import errors, kinds
from support.memory_kube import Object
from support.operator_world import World, backup_after

MADE = backup_after([], full=True)
PLACE = {"claimName": "backups", "path": "main"}


def source(**status: Any) -> Object:
    """Return the ChronicleLedgerBackup of the lost ledger."""
    told = {
        "phase": "Succeeded", "id": MADE["id"], "head": MADE["head"], "publicKey": MADE["public_key"], "place": PLACE,
        "ledgerUID": "old", **status,
    }  # fmt: skip
    meta = {"name": "last-night", "namespace": "ns"}
    return {
        "apiVersion": kinds.BACKUP.api_version, "kind": kinds.BACKUP.kind, "metadata": meta,
        "spec": {"ledgerName": "main"}, "status": told,
    }  # fmt: skip


def begun(status: Object | None = None, **restore: Any) -> World:
    """Return a new ledger that is to begin with that backup, under an operator that has seen nothing of it yet."""
    world = World(bootstrap={"restoreFrom": restore or {"backup": "last-night"}})
    world.kube.put(kinds.BACKUP, source(**(status or {})))
    return world


def jobs(world: World) -> list[Object]:
    return [it for it in world.kube.of(kinds.JOB) if "-restore-" in it["metadata"]["name"]]


def arguments(world: World) -> list[str]:
    (job,) = jobs(world)
    found: list[str] = job["spec"]["template"]["spec"]["containers"][0]["args"]
    return found


def served(world: World) -> list[str]:
    return sorted(it["metadata"]["name"] for it in world.kube.of(kinds.DEPLOYMENT))


async def test_nothing_is_served_before_the_backup_is_proven_and_everything_after() -> None:
    world = begun()
    for _ in range(20):
        await world.reconcile()
        if jobs(world):
            break
        world.run_controllers()
        world.now += timedelta(seconds=30)
    for _ in range(3):
        await world.reconcile()
    assert served(world) == []
    found = world.condition("Restored")
    assert (found["status"], found["reason"]) == ("False", "Restoring")
    assert world.condition("ApiReady")["reason"] == "Restoring"
    assert world.condition("Ready")["status"] == "False"
    assert arguments(world)[:4] == ["restore", "file:///backups/main", MADE["id"], "--restart"]
    assert f"--public-key={MADE['public_key']}" in arguments(world)
    await world.settle(8)
    assert served(world) == ["main-api", "main-projector", "main-relay"]
    assert world.condition("Ready")["status"] == "True"
    found = world.condition("Restored")
    assert (found["status"], found["reason"]) == ("True", "Proven")
    assert MADE["head"] in found["message"]
    signers = world.ledger["status"]["seal"]["publicKeys"]
    assert "cd" * 32 in signers, "the sealer accepts the seals that were put back"
    own = base64.b64decode(world.kube.find(kinds.SECRET, "main-seal-key")["data"]["public.hex"]).decode()
    assert own in signers
    api = world.kube.find(kinds.DEPLOYMENT, "main-api")["spec"]["template"]["spec"]["containers"][0]
    (told,) = [it["value"] for it in api["env"] if it["name"] == "CHRONICLE_SEAL_PUBLIC_KEYS"]
    assert {own, "cd" * 32} <= set(told.split(",")), "or the API's proofs would take the next seal for a forged one"


@pytest.mark.parametrize(
    ("code", "reason"),
    [("wrong_key", "WrongKey"), ("segment_missing", "SegmentMissing"), ("not_proven", "NotProven"),
     ("head_differs", "HeadDiffers"), ("ledger_not_empty", "LedgerNotEmpty")],
)  # fmt: skip
async def test_what_speaks_against_the_backup_is_told_and_tried_again_when_the_spec_changes(
    code: str, reason: str
) -> None:
    world = begun()
    world.answers["restore"] = (1, json.dumps({"error": {"code": code, "message": "so it is"}}))
    await world.settle(12)
    found = world.condition("Restored")
    assert (found["status"], found["reason"]) == ("False", reason)
    assert "so it is" in found["message"]
    assert served(world) == []
    assert len(jobs(world)) == 1
    del world.answers["restore"]
    world.edit(bootstrap={"restoreFrom": {"backup": "last-night", "to": "2026-03-01T12:00:00Z"}})
    await world.reconcile()
    assert "--to=2026-03-01T12:00:00Z" in arguments(world)
    await world.settle(10)
    assert world.condition("Restored")["reason"] == "Proven"


async def test_an_attempt_that_was_killed_is_followed_by_another_one() -> None:
    world = begun()
    world.answers["restore"] = (137, "")
    await world.settle(12)
    first = jobs(world)[0]["metadata"]["name"]
    assert world.condition("Restored")["status"] == "False"
    del world.answers["restore"]
    world.now += timedelta(minutes=5)
    await world.settle(10)
    assert jobs(world)[0]["metadata"]["name"] != first
    assert world.condition("Restored")["status"] == "True"


async def test_a_history_that_is_another_one_than_was_noted_is_not_served() -> None:
    world = begun({"head": "f" * 64})
    reasons = set()
    for _ in range(14):
        await world.settle(1)
        reasons |= {it["reason"] for it in world.ledger["status"]["conditions"] if it["type"] == "Restored"}
    assert "HeadDiffers" in reasons
    assert "Proven" not in reasons
    assert served(world) == []


@pytest.mark.parametrize(
    ("status", "restore", "reason"),
    [({}, {"backup": "another"}, "BackupMissing"), ({"phase": "Failed"}, {"backup": "last-night"}, "BackupUnfinished")],
)
async def test_a_backup_that_is_not_there_is_told(status: Object, restore: Object, reason: str) -> None:
    world = begun(status, **restore)
    await world.settle(10)
    assert world.condition("Restored")["reason"] == reason
    assert jobs(world) == []
    assert served(world) == []


async def test_a_destination_is_restored_from_without_a_resource() -> None:
    url = "s3://bucket/old"
    world = begun(None, destination={"url": url}, credentialsSecretRef={"name": "cloud"}, publicKeys=["ab" * 32])
    await world.settle(14)
    assert arguments(world) == ["restore", url, "--restart", f"--public-key={'ab' * 32}"]
    container = jobs(world)[0]["spec"]["template"]["spec"]["containers"][0]
    assert container["envFrom"] == [{"secretRef": {"name": "cloud"}}]
    assert world.condition("Restored")["status"] == "True"


async def test_a_restored_ledger_is_not_restored_again_whatever_becomes_of_the_job_and_the_backup() -> None:
    world = begun()
    await world.settle(14)
    for it in [*jobs(world), *world.kube.of(kinds.BACKUP)]:
        kind = kinds.of(it)
        await world.kube.delete(kind, "ns", it["metadata"]["name"])
    world.edit(api={"image": "chronicle:next"})
    await world.settle(10)
    assert jobs(world) == []
    assert world.condition("Restored")["status"] == "True"
    assert world.condition("Ready")["status"] == "True"


async def test_an_operator_that_dies_after_it_began_an_attempt_begins_no_second_one() -> None:
    world = begun()
    for _ in range(20):
        before = len(jobs(world))
        if before:
            break
        world.kube.trouble = lambda verb, kind, _: (
            errors.Unreachable("patch", "gone")
            if verb == "patch/status" and kind == kinds.LEDGER and jobs(world) else None
        )  # fmt: skip
        try:
            await world.reconcile()
        except errors.KubeError:
            world.restart()
            break
        world.run_controllers()
        world.now += timedelta(seconds=30)
    world.kube.trouble = lambda *_: None
    assert len(jobs(world)) == 1
    await world.settle(10)
    assert world.ledger["status"]["restore"]["attempt"] == 1
    assert world.condition("Restored")["status"] == "True"


async def test_a_person_who_takes_the_bootstrap_away_decides_to_serve_what_is_there() -> None:
    world = begun()
    world.answers["restore"] = (1, json.dumps({"error": {"code": "ledger_not_empty", "message": "old volumes"}}))
    await world.settle(12)
    world.edit(bootstrap=None)
    await world.settle(10)
    assert world.condition("Ready")["status"] == "True"
    assert world.condition("Restored")["reason"] == "NotAsked"
    assert "restore" not in world.ledger["status"]
