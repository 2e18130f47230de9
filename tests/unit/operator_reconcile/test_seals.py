"""Seals by the clock: one at a time, each held against the one before, and what is refused is told."""

from __future__ import annotations

import base64
import contextlib
import json
from copy import deepcopy
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from chronicle_cli.seal import seal as command
from chronicle_ledger.seals import document, keys
from chronicle_operator.kube import errors, kinds
from chronicle_operator.resources import build, names
from chronicle_operator.scenarios import job as scenarios
from chronicle_operator.seals import job as jobs
from chronicle_operator.seals import outcome
from chronicle_operator.status.conditions import timestamp
from support.ledger_specs import EVERYTHING, context
from support.memory_kube import Object
from support.operator_objects import NOW
from support.operator_world import World, ended_pod, seal_after

FIRST = seal_after(None)
SECOND = seal_after(FIRST)


async def started(**spec: Any) -> World:
    """Return a ledger whose first seal has just been begun."""
    world = World(**spec)
    for _ in range(6):
        await world.reconcile()
        if seal_jobs(world):
            return world
        world.run_controllers()
    raise AssertionError("no seal was begun")


async def sealed() -> World:
    """Return a ledger with one seal."""
    world = await started()
    await end(world, 0, json.dumps({"made": True, "seal": FIRST}))
    return world


def seal_jobs(world: World) -> list[Object]:
    return [it for it in world.kube.of(kinds.JOB) if "-seal-" in it["metadata"]["name"]]


async def end(world: World, code: int, message: str) -> None:
    """Have the seal's pod end, and the operator look."""
    (job,) = seal_jobs(world)
    world.kube.put(kinds.POD, ended_pod(job, code, message))
    await world.reconcile()


async def due(world: World) -> Object:
    """Go on to the next planned time and return the Job that is begun then."""
    world.now = datetime.fromisoformat(world.ledger["status"]["seal"]["nextTime"])
    await world.reconcile()
    (job,) = seal_jobs(world)
    assert world.ledger["status"]["seal"]["state"] == "Running"
    return job


def container(job: Object) -> Object:
    (found,) = job["spec"]["template"]["spec"]["containers"]
    return dict(found)


async def test_the_first_seal_is_made_when_the_ledger_answers_and_the_next_one_by_the_clock() -> None:
    world = await sealed()
    assert world.condition("Ready")["status"] == "True"
    found = world.ledger["status"]["seal"]
    assert {key: found[key] for key in ("number", "root", "transactions", "publicKey", "time")} == {
        "number": 1,
        "root": FIRST["root"],
        "transactions": 10,
        "publicKey": "ab" * 32,
        "time": FIRST["at"],
    }
    assert found["nextTime"] == timestamp(NOW.replace(minute=17))
    sealed_condition = world.condition("Sealed")
    assert (sealed_condition["status"], sealed_condition["reason"]) == ("True", "Sealed")
    assert FIRST["root"] in sealed_condition["message"]
    (first,) = seal_jobs(world)
    world.now = NOW.replace(minute=16)
    await world.reconcile()
    assert seal_jobs(world) == [first]
    second = await due(world)
    assert second["metadata"]["name"] != first["metadata"]["name"]
    assert f"--last-root={FIRST['root']}" in container(second)["args"]
    assert world.condition("Sealed")["status"] == "True", "the latest outcome stands until there is another one"
    await end(world, 0, json.dumps({"made": True, "seal": SECOND}))
    assert world.ledger["status"]["seal"]["number"] == 2


async def test_a_ledger_that_was_rewritten_is_refused_and_told_in_the_sealers_own_words() -> None:
    world = await sealed()
    await due(world)
    log = "2026 info starting\nError: the ledger does not extend what was sealed, so nothing was signed: x is gone\n"
    await end(world, 1, log)
    found = world.condition("Sealed")
    assert (found["status"], found["reason"]) == ("False", "SealRefused")
    assert found["message"].startswith("Error: the ledger does not extend what was sealed")
    assert ("SealRefused", "Warning") in {(it["reason"], it["type"]) for it in world.kube.of(kinds.EVENT)}
    assert world.ledger["status"]["seal"]["number"] == 1, "what was sealed is not forgotten"
    assert world.condition("Ready")["status"] == "True", "it serves, and that is another question"
    again = await due(world)
    assert f"--last-root={FIRST['root']}" in container(again)["args"]


@pytest.mark.parametrize(
    ("seal", "words"),
    [
        ({**FIRST, "root": "1" * 64}, "was made with root"),
        ({**SECOND, "previous": "2" * 64}, "follows root"),
        (None, "the database has no seal"),
    ],
    ids=["another first", "another past", "none"],
)
async def test_a_seal_that_does_not_follow_the_known_one_is_none(seal: Object | None, words: str) -> None:
    world = await sealed()
    before = deepcopy(world.ledger["status"]["seal"])
    await due(world)
    await end(world, 0, json.dumps({"made": True, "seal": seal}))
    found = world.condition("Sealed")
    assert (found["status"], found["reason"]) == ("False", "SealsMissing")
    assert words in found["message"]
    assert world.ledger["status"]["seal"]["root"] == before["root"]


async def test_fewer_seals_than_were_made_are_told() -> None:
    read = outcome.read({}, "j", [pod("j", FIRST)], {"number": 7, "root": "3" * 64})
    assert read is not None
    assert (read.condition.status, read.condition.reason) == ("False", "SealsMissing")
    assert "the last seal in the database is number 1, and seal 7 was made" in read.condition.message


def pod(job: str, seal: Object) -> Object:
    labels = {"batch.kubernetes.io/job-name": job}
    terminated = {"terminated": {"exitCode": 0, "message": json.dumps({"made": False, "seal": seal})}}
    return {"metadata": {"labels": labels}, "status": {"containerStatuses": [{"name": "seal", "state": terminated}]}}


@pytest.mark.parametrize(("code", "message"), [(3, "Error: the database: no answer"), (137, ""), (0, "nonsense")])
async def test_what_was_not_decided_is_tried_again_soon_and_is_no_alarm(code: int, message: str) -> None:
    world = await sealed()
    await due(world)
    await end(world, code, message)
    found = world.condition("Sealed")
    assert found["status"] == "Unknown"
    at = datetime.fromisoformat(world.ledger["status"]["seal"]["nextTime"])
    assert at <= world.now + timedelta(minutes=5)
    await due(world)
    await end(world, 0, json.dumps({"made": True, "seal": SECOND}))
    assert world.condition("Sealed")["reason"] == "Sealed"


async def test_after_an_outcome_that_was_lost_the_next_seal_is_not_taken_for_a_break() -> None:
    world = await sealed()
    (job,) = [await due(world)]
    del world.kube.objects["batch", "Job", "ns", job["metadata"]["name"]]
    await world.reconcile()
    assert world.condition("Sealed")["reason"] == "OutcomeUnknown"
    again = await due(world)
    assert not [it for it in container(again)["args"] if it.startswith("--last-root")]
    await end(world, 0, json.dumps({"made": True, "seal": seal_after(SECOND)}))
    assert world.condition("Sealed")["status"] == "True"
    assert world.ledger["status"]["seal"]["number"] == 3
    assert [it for it in container(await due(world))["args"] if it.startswith("--last-root")]


async def test_an_operator_that_dies_after_it_has_begun_a_seal_begins_no_second_one() -> None:
    world = await started()
    (job,) = seal_jobs(world)
    del world.ledger["status"]["seal"]
    world.restart()
    await world.reconcile()
    assert seal_jobs(world) == [job]
    assert world.ledger["status"]["seal"]["jobName"] == job["metadata"]["name"]


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"seal": {"mode": "Disabled"}}, "Disabled"),
        ({"reconciliation": "Hibernated"}, "Waiting"),
        ({"seal": {"schedule": "now and then"}}, "InvalidSchedule"),
    ],
)
async def test_no_seal_is_begun_where_none_is_wanted_or_none_can_be_made(spec: Object, reason: str) -> None:
    world = World(**spec)
    await world.settle()
    assert seal_jobs(world) == []
    found = world.condition("Sealed")
    assert (found["status"], found["reason"]) == ("Unknown", reason)


async def test_a_seal_waits_for_the_end_of_the_failure_scenarios() -> None:
    world = await sealed()
    world.ledger["status"]["run"] = {"runID": "r", "trigger": "Manual", "state": "Running", "jobName": "x"}
    world.ledger["status"]["run"]["startTime"] = timestamp(world.now)
    world.now = NOW.replace(minute=18)
    (before,) = seal_jobs(world)
    await world.reconcile()
    assert seal_jobs(world) == [before]


async def test_scenarios_that_begin_at_the_same_moment_go_first() -> None:
    world = World(resilience={"trigger": "OnReady"})
    for _ in range(8):
        await world.reconcile()
        world.run_controllers()
        if "run" in world.ledger["status"]:
            break
    assert world.ledger["status"]["run"]["state"] == "Starting"
    assert seal_jobs(world) == []
    world.now += timedelta(minutes=30)
    await world.settle()
    assert world.ledger["status"]["run"]["state"] == "Finished"
    assert world.condition("Sealed")["status"] == "True"


async def test_the_job_of_a_seal_that_is_somebody_elses_is_not_taken_for_it() -> None:
    world = await started()
    (job,) = seal_jobs(world)
    job["metadata"].pop("ownerReferences")
    job["metadata"]["labels"] = {}
    del world.ledger["status"]["seal"]
    world.restart()
    with pytest.raises(errors.Conflict):
        await world.reconcile()
    assert "state" not in world.ledger["status"].get("seal", {})
    assert world.condition("Progressing")["reason"] == "Conflict"
    world.edit(resilience={"runID": "r"})
    await settled_but_for_the_seal(world)
    assert world.ledger["status"]["run"]["runID"] == "r", "what a seal is refused keeps no scenario from running"


async def settled_but_for_the_seal(world: World) -> None:
    for _ in range(6):
        with contextlib.suppress(errors.Conflict):
            await world.reconcile()
        world.run_controllers()


def test_only_the_pod_of_a_seal_mounts_the_sealers_key() -> None:
    ledger = context(EVERYTHING)
    key = names.seal_key(ledger.name)
    others = [it for it in [*build(ledger), scenarios.job(ledger, "r", 0)] if key in json.dumps(it)]
    assert others == []
    pod = jobs.job(ledger, "first", last_root=None, public_keys=[])["spec"]["template"]["spec"]
    assert key in json.dumps(pod["volumes"])
    assert pod["automountServiceAccountToken"] is False
    secrets = {it["secret"]["secretName"] for it in pod["volumes"] if "secret" in it}
    assert secrets == {key, "books-cockroachdb-client-seal"}


async def test_the_key_is_made_once_and_is_what_the_sealer_reads(tmp_path: Path) -> None:
    world = await sealed()
    secret = world.kube.find(kinds.SECRET, "main-seal-key")
    pem = base64.b64decode(secret["data"]["sealer.pem"])
    (tmp_path / "sealer.pem").write_bytes(pem)
    key = keys.private_key(tmp_path / "sealer.pem")
    assert key.public_key().public_bytes_raw().hex().encode() == base64.b64decode(secret["data"]["public.hex"])
    world.restart()
    await world.settle()
    assert base64.b64decode(world.kube.find(kinds.SECRET, "main-seal-key")["data"]["sealer.pem"]) == pem


async def test_seals_of_a_former_key_are_accepted_after_the_key_was_replaced() -> None:
    world = await sealed()
    assert f"--public-key={'ab' * 32}" in container(await due(world))["args"]
    await end(world, 0, json.dumps({"made": True, "seal": {**SECOND, "public_key": "cd" * 32}}))
    assert world.ledger["status"]["seal"]["publicKeys"] == ["ab" * 32, "cd" * 32]
    arguments = container(await due(world))["args"]
    assert {f"--public-key={'ab' * 32}", f"--public-key={'cd' * 32}"} <= set(arguments)


def test_the_job_gives_options_that_the_command_has_and_reads_what_it_prints() -> None:
    arguments = container(jobs.job(context(), "x", last_root="0" * 64, public_keys=["1" * 64]))["args"]
    known = {option for parameter in command.params for option in parameter.opts}
    assert {it.partition("=")[0] for it in arguments} <= known
    fields = set(document.Seal.__struct_fields__)
    assert {"number", "root", "previous", "at", "transactions", "public_key"} <= fields
    assert set(FIRST) <= fields


def test_two_planned_times_make_two_jobs_and_one_makes_one() -> None:
    ledger = context()
    assert jobs.job_name(ledger, "a") == jobs.job_name(ledger, "a") != jobs.job_name(ledger, "b")
    assert len(jobs.job_name(ledger, "a")) <= 63
