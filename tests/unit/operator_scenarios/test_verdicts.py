"""What a run's progress becomes in the status."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from chronicle_chaos.cluster import compact
from chronicle_chaos.cluster.job import RECOVERY_SECONDS, Order, target_of
from chronicle_chaos.injectors.kubernetes import experiments
from chronicle_chaos.injectors.kubernetes.ledger_pods import Place
from chronicle_chaos.record.journal import (
    CheckRecord,
    CleanupRecord,
    FaultWindow,
    Journal,
    PhaseRecord,
    ScenarioRecord,
    TargetRecord,
)
from chronicle_chaos.scenarios.catalogue import SCENARIOS
from chronicle_contract.labels import UID
from chronicle_operator.resources import build
from chronicle_operator.scenarios import job, running, verdicts
from chronicle_operator.scenarios.sweep import release_command
from chronicle_operator.status.status_model import ScenarioStatus
from support.ledger_specs import context, regions

TIME = "2026-03-01T12:00:00.000000Z"


def journal(*verdicts_given: str, finished: bool = True) -> Journal:
    records = [
        ScenarioRecord(
            f"scenario-{place}",
            "title",
            verdict=verdict,
            reason="AllChecksPassed",
            message="said",
            fault_confirmed=True,
            start_time=TIME,
            fault_window=FaultWindow(TIME, TIME, TIME),
            completion_time=TIME,
            longest_gap_milliseconds=1420,
            recovery_milliseconds=8300,
            acknowledged_writes=7,
            lost_writes=0,
            phases=[PhaseRecord("check", TIME)],
            checks=[CheckRecord("conservation", "Passed", "x" * 1000)],
            experiments=[{"kind": "PodChaos", "name": "n", "uid": "u"}],
        )
        for place, verdict in enumerate(verdicts_given)
    ]
    target = TargetRecord("cluster", "cockroachdb", "https://x")
    return Journal("r", TIME, target, 1, 20.0, scenarios=records, completion_time=TIME if finished else None)


def report(content: Any) -> dict[str, Any]:
    return {"data": {"progress.json": json.dumps(content)}}


def test_every_field_of_an_entry_is_declared_in_the_status() -> None:
    for entry in compact.entries(journal("Passed", "Failed")):
        ScenarioStatus.model_validate(entry)


def test_what_could_not_be_cleaned_up_is_told_with_its_command() -> None:
    run = journal("Passed")
    run.scenarios[0].cleanup = CleanupRecord("CleanupFailed", "the cut is still there; run: kubectl annotate x")
    (entry,) = compact.entries(run)
    assert (entry["cleanup"], entry["cleanupMessage"]) == ("CleanupFailed", run.scenarios[0].cleanup.message)
    assert compact.record(entry).cleanup == run.scenarios[0].cleanup
    found = verdicts.condition([entry], current=True)
    assert (found.status, found.reason) == ("False", "CleanupFailed")
    assert "run: kubectl annotate x" in found.message


def test_while_a_fault_may_be_there_the_status_does_not_say_that_nothing_was_to_be_cleaned_up() -> None:
    run = journal("Aborted", finished=False)
    run.scenarios[0].completion_time = None
    (entry,) = compact.entries(run)
    assert "cleanup" not in entry


def test_what_is_left_is_laid_at_the_door_of_who_could_not_say_that_it_had_healed() -> None:
    said = {"name": "a", "verdict": "Passed", "startTime": TIME, "cleanup": "Clean"}
    died = {"name": "b", "verdict": "Aborted", "startTime": TIME}
    never = {"name": "c", "verdict": "Aborted"}
    assert [it.get("cleanup") for it in verdicts.cleaned([said, died, never], [])] == ["Clean", "Clean", None]
    left = verdicts.cleaned([said, died, never], ["kubectl x"])
    assert [it.get("cleanup") for it in left] == ["Clean", "CleanupFailed", None]
    (alone,) = verdicts.cleaned([said], ["kubectl x"])
    assert (alone["verdict"], alone["reason"], alone["cleanup"]) == ("Inconclusive", "CleanupFailed", "CleanupFailed")
    assert "run: kubectl x" in alone["cleanupMessage"]
    (unheard,) = verdicts.cleaned([never], ["kubectl x"])
    assert unheard["cleanup"] == "CleanupFailed"


def test_what_a_run_could_not_heal_and_the_operator_did_is_clean_and_says_who_did_it() -> None:
    cut_off = {"name": "a", "verdict": "Aborted", "startTime": TIME, "cleanup": "CleanupFailed",
               "cleanupMessage": "interrupted while healing"}  # fmt: skip
    (healed,) = verdicts.cleaned([cut_off], [])
    assert (healed["verdict"], healed["cleanup"]) == ("Aborted", "Clean")
    assert healed["cleanupMessage"] == ("done by the operator after the run had ended (interrupted while healing)")
    assert verdicts.condition([healed], current=True).reason != "CleanupFailed"
    (left,) = verdicts.cleaned([cut_off], ["kubectl x"])
    assert left["cleanup"] == "CleanupFailed"
    assert "run: kubectl x" in left["cleanupMessage"]


def test_operator_and_run_name_the_same_command_for_an_experiment_that_stays() -> None:
    stays = {"kind": "NetworkChaos", "metadata": {"name": "cut", "namespace": "ns"}}
    assert release_command(stays) == experiments.read(stays, "NetworkChaos").release_command()


def test_what_has_not_started_is_pending_and_what_is_under_way_is_running() -> None:
    run = journal("Passed", "Aborted", "Aborted", finished=False)
    run.scenarios[1].completion_time = None
    run.scenarios[2].completion_time = run.scenarios[2].start_time = None
    assert [it["verdict"] for it in compact.entries(run)] == ["Passed", "Running", "Pending"]
    run.completion_time = TIME
    assert [it["verdict"] for it in compact.entries(run)] == ["Passed", "Aborted", "Aborted"]


def test_a_report_of_another_run_or_of_nonsense_says_nothing() -> None:
    entries = compact.entries(journal("Passed"))
    assert verdicts.of_report(report({"run": "r", "scenarios": entries}), "r") == entries
    assert verdicts.of_report(report({"run": "other", "scenarios": entries}), "r") == []
    assert verdicts.of_report(report({"run": "r", "scenarios": [{"name": 1, "undeclared": 2}]}), "r") == []
    assert verdicts.of_report({"data": {"progress.json": "{"}}, "r") == []
    assert verdicts.of_report(None, "r") == []


def test_a_run_that_died_never_passes_what_it_did_not_decide() -> None:
    entries = verdicts.aborted([{"name": "a", "verdict": "Passed"}, {"name": "b", "verdict": "Running"}], "gone")
    assert [it["verdict"] for it in entries] == ["Passed", "Aborted"]
    assert verdicts.condition(entries, current=True).status != "True"
    assert verdicts.summary(entries) == "1/2 Passed"


@pytest.mark.parametrize(
    ("given", "current", "status", "reason"),
    [
        ([], True, "Unknown", "NotRun"),
        (["Passed", "Running"], True, "Unknown", "Running"),
        (["Passed", "Failed"], True, "False", "ScenarioFailed"),
        (["Passed", "Inconclusive"], True, "Unknown", "NotAllPassed"),
        (["Passed", "NotApplicable"], True, "Unknown", "NotAllPassed"),
        (["Passed", "Passed"], True, "True", "AllPassed"),
        (["Passed", "Passed"], False, "Unknown", "Outdated"),
    ],
)
def test_resilience_is_verified_only_when_all_passed_on_what_runs_now(
    given: list[str], current: bool, status: str, reason: str
) -> None:
    entries = [{"name": f"s{place}", "verdict": verdict} for place, verdict in enumerate(given)]
    found = verdicts.condition(entries, current=current)
    assert (found.status, found.reason) == (status, reason)


def test_the_order_is_what_the_run_reads() -> None:
    ledger = context({"regions": regions(2, 1), "api": {"auth": {"mode": "Open"}}})
    written = json.dumps(job.order(ledger, "r", 0))
    order = msgspec.json.decode(written.encode(), type=Order)
    assert set(msgspec.structs.asdict(order)) == set(json.loads(written))
    target = target_of(order)
    assert target.regions["region-b"] == ("https://books-api-region-b-instances.finance.svc:8080",)
    assert target.details["owner"]["uid"] == ledger.uid
    assert target.details["sides"] == {"region-a": ["region-a"], "region-b": ["region-b"]}


def test_a_run_finds_every_pod_of_the_ledger_by_the_uid_that_the_operator_puts_on_it() -> None:
    ledger = context({"regions": regions(2, 1), "api": {"auth": {"mode": "Open"}}})
    order = msgspec.json.decode(json.dumps(job.order(ledger, "r", 0)).encode(), type=Order)
    place = Place(target_of(order))
    workloads = [it for it in [*build(ledger), job.job(ledger, "r", 0)] if "template" in it.get("spec", {})]
    assert {it["kind"] for it in workloads} == {"StatefulSet", "Deployment", "Job"}
    for it in workloads:
        assert place.labels().items() <= it["spec"]["template"]["metadata"]["labels"].items(), it["metadata"]["name"]
        # A selector cannot be changed, and a restored ledger has another uid.
        assert UID not in str(it["spec"].get("selector")), it["metadata"]["name"]


def test_sides_need_a_minority() -> None:
    assert job.sides(context({})) == {}
    assert job.sides(context({"regions": regions(2, 2)})) == {}
    three = job.sides(context({"regions": regions(1, 1, 1)}))
    assert three == {"region-a": ["region-a", "region-b"], "region-b": ["region-c"]}


def test_the_same_run_has_the_same_job_and_another_run_another() -> None:
    assert job.job_name(context(), "a") == job.job_name(context(), "a")
    assert job.job_name(context(), "a") != job.job_name(context(), "b")


def test_a_run_does_not_begin_again_by_itself_and_has_time_to_heal() -> None:
    made = job.job(context(), "a", 0)
    assert made["spec"]["backoffLimit"] == 0
    assert made["spec"]["ttlSecondsAfterFinished"] == 24 * 60 * 60  # its log is kept for a day, and no longer
    pod = made["spec"]["template"]["spec"]
    assert pod["restartPolicy"] == "Never"
    assert pod["terminationGracePeriodSeconds"] == 180
    assert pod["serviceAccountName"] == "books-scenarios"


def test_a_run_that_hangs_is_ended_but_never_before_its_own_deadlines_are_over() -> None:
    spec = {"scenarios": [{"name": it.name} for it in SCENARIOS]}
    made = job.job(context({"resilience": spec}), "a", 0)
    needed = 0.0
    for it in SCENARIOS:
        of = it.deadlines
        phases = of.preflight + of.steady_state + of.inject + of.prove + of.observe_margin + of.heal
        needed += phases + it.window + RECOVERY_SECONDS + 2 * of.drain + of.final_reads + 60
    assert needed + running.START_SECONDS <= made["spec"]["activeDeadlineSeconds"] <= 2 * needed
    long = job.job(context({"resilience": {"scenarios": [{"name": "nats-outage", "duration": "1h"}]}}), "a", 0)
    assert long["spec"]["activeDeadlineSeconds"] > 3600


def test_a_run_that_took_too_long_says_so() -> None:
    late = {"status": {"conditions": [{"type": "Failed", "reason": "DeadlineExceeded", "message": "too long"}]}}
    assert "longer than all of its phases may" in running.failure(late)
    assert running.failure(None) == "the run's Job is gone"


def test_a_run_in_progress_counts_what_is_decided() -> None:
    given = ["Passed", "NotApplicable", "Running", "Pending", "Pending"]
    assert verdicts.summary([{"name": it, "verdict": it} for it in given]) == "Running 2/5"
    assert verdicts.summary([{"name": it, "verdict": it} for it in ("Passed", "Failed", "Passed")]) == "2/3 Passed"
