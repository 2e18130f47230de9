"""Backups by the clock and on request: one at a time, each told by its own resource, none without being asked for."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest

from chronicle_operator.backups import outcome
from chronicle_operator.kube import errors, kinds
from chronicle_operator.status.conditions import timestamp
from chronicle_operator.status.status_model import LedgerBackupStatus
from support.memory_kube import Object
from support.operator_objects import NOW
from support.operator_world import KEY, World, backup_after, kept_pod, steps_of

BACKUP: dict[str, Any] = {"destination": {"claim": {"claimName": "backups"}}, "schedule": "0 * * * *"}


def refused(code: str, message: str, status: int = 1) -> tuple[int, str]:
    return status, json.dumps({"error": {"code": code, "message": message}})


def asked_for(name: str, **spec: Any) -> Object:
    meta = {"name": name, "namespace": KEY.namespace, "creationTimestamp": timestamp(NOW)}
    return {
        "apiVersion": kinds.BACKUP.api_version, "kind": kinds.BACKUP.kind, "metadata": meta,
        "spec": {"ledgerName": KEY.name, **spec},
    }  # fmt: skip


def backups(world: World) -> list[Object]:
    """The resources that have ended, the oldest first; their statuses have declared fields only."""
    found = [it for it in world.kube.of(kinds.BACKUP) if it.get("status", {}).get("completionTime")]
    for it in found:
        LedgerBackupStatus.model_validate(it["status"])
    return sorted(found, key=lambda it: str(it["status"]["completionTime"]))


def jobs(world: World) -> list[Object]:
    return [it for it in world.kube.of(kinds.JOB) if "-backup-" in it["metadata"]["name"]]


async def kept(**backup: Any) -> World:
    """Return a ledger whose first backup has been made."""
    world = World(backup={**BACKUP, **backup})
    await world.settle(10)
    return world


async def test_a_ledger_without_backups_is_asked_nothing_and_says_nothing_of_them() -> None:
    world = World()
    await world.settle()
    assert not [call for call in world.kube.calls if call[2].startswith(kinds.BACKUP.plural)]
    assert {"BackedUp", "Restored"}.isdisjoint(it["type"] for it in world.ledger["status"]["conditions"])
    assert {"backup", "restore"}.isdisjoint(world.ledger["status"])


async def test_the_first_backup_is_made_at_once_and_the_next_one_by_the_clock() -> None:
    world = await kept()
    (first,) = backups(world)
    assert first["spec"] == {"ledgerName": "main"}
    assert "ownerReferences" not in first["metadata"], "it outlives the ledger, which can be restored from it"
    status = first["status"]
    made = world.backups[0]
    assert {key: status[key] for key in ("phase", "id", "kind", "head", "root", "verified", "sizeBytes", "seal")} == {
        "phase": "Succeeded", "id": made["id"], "kind": "Full", "head": made["head"], "root": made["root"],
        "verified": True, "sizeBytes": 1234, "seal": made["seal"],
    }  # fmt: skip
    assert status["place"] == {"claimName": "backups", "path": "main"}
    assert status["durationSeconds"] >= 0
    found = world.condition("BackedUp")
    assert (found["status"], found["reason"]) == ("True", "Verified")
    assert made["head"] in found["message"]
    told = world.ledger["status"]["backup"]
    assert (told["lastId"], told["lastName"]) == (made["id"], first["metadata"]["name"])
    assert [it["regarding"]["kind"] for it in world.kube.of(kinds.EVENT) if it["action"] == "Backup"] == [
        "ChronicleLedgerBackup"
    ]
    world.now = datetime.fromisoformat(told["nextTime"])
    await world.settle(4)
    _, second = backups(world)
    assert second["metadata"]["name"] == f"main-{NOW.replace(hour=NOW.hour + 1, minute=0):%Y%m%d-%H%M%S}"
    assert second["status"]["kind"] == "Incremental"
    assert len(jobs(world)) == 1, "the Job of the one before is gone"


async def test_one_that_is_asked_for_by_hand_is_made_whatever_the_clock_says() -> None:
    world = await kept(schedule=None)
    assert backups(world) == [], "without a schedule none is made by itself"
    world.kube.put(kinds.BACKUP, asked_for("mine", full=True))
    await world.settle(4)
    (mine,) = backups(world)
    assert (mine["status"]["phase"], mine["status"]["kind"]) == ("Succeeded", "Full")
    assert "nextTime" not in world.ledger["status"]["backup"]


async def test_every_seventh_backup_is_full_and_earlier_keys_are_trusted() -> None:
    world = await kept(fullEvery=3)
    for number in range(5):
        world.kube.put(kinds.BACKUP, asked_for(f"more-{number}"))
        await world.settle(4)
    assert [it["status"]["kind"] for it in backups(world)] == 2 * ["Full", "Incremental", "Incremental"]
    (job,) = jobs(world)
    create = job["spec"]["template"]["spec"]["initContainers"][0]
    assert f"--public-key={'ab' * 32}" in create["args"]


async def test_a_refusal_is_told_in_the_commands_own_words_and_waits_for_the_clock() -> None:
    world = World(backup=BACKUP)
    world.answers["create"] = refused("ledger_damaged", "account 7 is gone")
    await world.settle(10)
    (failed,) = backups(world)
    assert (failed["status"]["phase"], failed["status"]["reason"]) == ("Failed", "LedgerDamaged")
    found = world.condition("BackedUp")
    assert (found["status"], found["reason"]) == ("False", "LedgerDamaged")
    assert "account 7 is gone" in found["message"]
    assert world.condition("Ready")["status"] == "True", "it serves, and that is another question"
    assert world.ledger["status"]["backup"]["nextTime"] == timestamp(NOW.replace(hour=NOW.hour + 1, minute=0))
    assert ("LedgerDamaged", "Warning") in {(it["reason"], it["type"]) for it in world.kube.of(kinds.EVENT)}


async def test_what_was_not_decided_is_tried_again_within_ten_minutes() -> None:
    world = World(backup={**BACKUP, "schedule": "0 0 1 1 *"})
    world.answers["create"] = refused("destination_unreachable", "no answer", 3)
    await world.settle(10)
    assert world.condition("BackedUp")["status"] == "Unknown"
    again = datetime.fromisoformat(world.ledger["status"]["backup"]["nextTime"])
    assert again - world.now <= timedelta(minutes=10)
    del world.answers["create"]
    world.now = again
    await world.settle(4)
    assert world.condition("BackedUp")["status"] == "True"


async def test_a_backup_that_cannot_be_verified_is_none() -> None:
    world = World(backup=BACKUP)
    world.answers["verify"] = refused("segment_changed", "x differs")
    await world.settle(10)
    (failed,) = backups(world)
    assert failed["status"]["phase"] == "Failed"
    assert (failed["status"]["reason"], failed["status"]["verified"]) == ("SegmentChanged", False)
    assert "lastId" not in world.ledger["status"]["backup"]


async def test_retention_deletes_the_resources_of_what_it_deleted_and_failures_but_the_latest() -> None:
    world = await kept(retention={"count": 1, "age": "720h"})
    (job,) = jobs(world)
    assert steps_of(job) == ["create", "verify", "prune"]
    (prune,) = job["spec"]["template"]["spec"]["containers"]
    assert prune["args"][2:] == ["--keep=1", "--keep-for=43200m"]
    world.answers["prune"] = (0, json.dumps({"deleted": [world.backups[0]["id"]]}))
    world.kube.put(kinds.BACKUP, asked_for("second"))
    await world.settle(5)
    assert [it["metadata"]["name"] for it in backups(world)] == ["second"]
    world.answers["create"] = refused("key_missing", "no key", 2)
    for number in range(5):
        world.kube.put(kinds.BACKUP, asked_for(f"failed-{number}"))
        await world.settle(4)
    assert [it["metadata"]["name"] for it in backups(world)] == ["second", "failed-2", "failed-3", "failed-4"]


async def test_a_backup_whose_older_ones_could_not_be_deleted_is_made_all_the_same() -> None:
    world = World(backup={**BACKUP, "retention": {"count": 1}})
    world.answers["prune"] = refused("destination_unreachable", "no right to delete", 3)
    await world.settle(10)
    (made,) = backups(world)
    assert made["status"]["phase"] == "Succeeded"
    assert "no right to delete" in made["status"]["message"]


@pytest.mark.parametrize(("verb", "kind"), [("create", kinds.BACKUP), ("create", kinds.JOB), ("patch/status", None)])
async def test_an_operator_that_dies_at_any_point_makes_no_second_backup(verb: str, kind: object) -> None:
    world = World(backup=BACKUP)
    for _ in range(4):
        await world.reconcile()
        world.run_controllers()
    died: list[str] = []

    def die(asked: str, of: object, name: str) -> errors.KubeError | None:
        mine = of in (kinds.BACKUP, kinds.JOB) and (of != kinds.JOB or "-backup-" in name)
        if len(died) < 3 and asked == "patch/status" and (of == kinds.LEDGER or (kind is None and mine)):
            died.append(asked)
            return errors.Unreachable("patch", "gone")
        return None

    assert verb in ("create", "patch/status")
    world.kube.trouble = die
    for _ in range(12):
        try:
            await world.reconcile()
        except errors.KubeError:
            world.restart()
        world.run_controllers()
        world.now += timedelta(seconds=5)
    assert died
    assert len(world.backups) == len(backups(world)) == 1


async def test_paused_and_unready_ledgers_wait_and_say_so() -> None:
    world = World(backup=BACKUP, reconciliation="Hibernated")
    await world.settle()
    found = world.condition("BackedUp")
    assert (found["status"], found["reason"]) == ("Unknown", "Waiting")
    assert "Hibernated" in found["message"]
    assert not jobs(world)


async def test_a_schedule_that_is_none_is_told() -> None:
    world = World(backup={**BACKUP, "schedule": "at night, please"})
    await world.settle()
    assert world.condition("BackedUp")["reason"] == "InvalidSchedule"
    world.edit(backup=None)
    await world.settle(2)


async def test_a_ledger_that_gives_up_its_backups_says_so_and_keeps_what_was_made() -> None:
    world = await kept()
    world.edit(backup=None)
    await world.settle(2)
    assert world.condition("BackedUp")["reason"] == "NotConfigured"
    assert len(backups(world)) == 1


def job_of(*steps: str) -> Object:
    containers = [{"name": it} for it in steps]
    pod = {"initContainers": containers[:-1], "containers": containers[-1:]}
    return {"metadata": {"name": "j"}, "spec": {"template": {"metadata": {"labels": {}}, "spec": pod}}}


def test_how_far_a_backup_is_shows_which_container_runs() -> None:
    pod = kept_pod(job_of("create", "verify", "prune"), [("create", 0, ""), ("verify", 0, ""), ("prune", 0, "")])
    first, second = pod["status"]["initContainerStatuses"]
    (third,) = pod["status"]["containerStatuses"]
    for running, phase in ((first, "Creating"), (second, "Verifying"), (third, "Pruning")):
        ended, running["state"] = running["state"], {"running": {}}
        assert outcome.phase("j", [pod]) == phase
        assert outcome.backup(None, "j", [pod]) is None, "a Job that is seen later than its pod decides nothing"
        running["state"] = ended
    assert outcome.phase("j", []) == "Creating"


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ((1, "Traceback\nOSError: no space\n"), "Failed"),
        ((137, ""), "Failed"),
        ((0, "{}"), "OutcomeUnknown"),
        ((0, json.dumps({**backup_after([], full=True), "head": "no hash", "id": None})), None),
    ],
    ids=["crash", "killed", "empty", "odd"],
)
def test_what_cannot_be_read_decides_nothing(said: tuple[int, str], reason: str | None) -> None:
    found = outcome.backup({}, "j", [kept_pod(job_of("create"), [("create", *said)])])
    assert found is not None
    if reason is not None:
        assert found.refusal is not None
        assert (found.refusal.reason, found.refusal.decided) == (reason, False)


def test_a_job_that_was_killed_with_its_pod_is_told_as_lost() -> None:
    failed = {"status": {"conditions": [{"type": "Failed", "status": "True", "reason": "DeadlineExceeded"}]}}
    for job in (None, failed):
        found = outcome.backup(job, "j", [])
        assert found is not None
        assert found.refusal is not None
        assert found.refusal.reason == "JobLost"
