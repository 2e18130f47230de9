"""What a run's progress means for the ledger's status. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from chronicle_operator.status.conditions import Condition
from chronicle_operator.status.status_model import ScenarioStatus

KIND = "ResilienceVerified"
DECIDED = ("Passed", "Failed", "Inconclusive", "NotApplicable", "Aborted")

Entry = dict[str, Any]


def of_report(report: Mapping[str, Any] | None, run_id: str) -> list[Entry]:
    """Return the scenarios' entries that a run has written so far, each valid for the status; others are left out."""
    try:
        progress = json.loads(((report or {}).get("data") or {}).get("progress.json") or "{}")
        entries = progress.get("scenarios") or []
        if progress.get("run") != run_id:
            return []
        return [ScenarioStatus.model_validate(it).model_dump(by_alias=True, exclude_none=True) for it in entries]
    except (ValueError, AttributeError, TypeError):
        return []


def pending(names: Sequence[str], run_id: str) -> list[Entry]:
    """Return the entries of a run that has not said anything yet."""
    return [{"name": it, "verdict": "Pending", "runID": run_id} for it in names]


def aborted(entries: Sequence[Entry], why: str, reason: str = "RunEnded") -> list[Entry]:
    """Return the entries with what was not decided marked as aborted."""
    return [
        it if it["verdict"] in DECIDED else {**it, "verdict": "Aborted", "reason": reason, "message": why}
        for it in entries
    ]


def cleaned(entries: Sequence[Entry], commands: Sequence[str]) -> list[Entry]:
    """Return the entries of a run that has ended with what became of its faults.

    `commands` release what is left. It is laid at the door of the scenarios that could not say themselves that they
    had healed (the run died), or of the last one that was begun; nothing passes on a ledger that was not healed.
    Where nothing is left, what a run could not heal itself has been healed since; its verdict stays.
    """
    begun = [it["name"] for it in entries if it.get("startTime")]
    silent = [it["name"] for it in entries if it["name"] in begun and "cleanup" not in it]
    if not commands:
        return [_healed(it) if it["name"] in silent or it.get("cleanup") == "CleanupFailed" else it for it in entries]
    blamed = silent or begun[-1:] or [it["name"] for it in entries[-1:]]
    left = f"Chaos Mesh does not let go of what the run made; run: {'; '.join(commands)}"
    return [_unclean(it, left) if it["name"] in blamed else it for it in entries]


def _healed(entry: Entry) -> Entry:
    found = {**entry, "cleanup": "Clean"}
    if entry.get("cleanup") == "CleanupFailed":
        said = entry.get("cleanupMessage", "the run did not heal what it had broken")
        found["cleanupMessage"] = f"done by the operator after the run had ended ({said})"
    return found


def _unclean(entry: Entry, left: str) -> Entry:
    found = {**entry, "cleanup": "CleanupFailed", "cleanupMessage": left}
    if entry["verdict"] == "Passed":
        found |= {"verdict": "Inconclusive", "reason": "CleanupFailed", "message": f"all checks passed, but {left}"}
    return found


def with_report(entries: Sequence[Entry], report: str) -> list[Entry]:
    """Return the entries with a reference to the report."""
    return [{**it, "reportRef": {"kind": "ConfigMap", "name": report}} for it in entries]


def summary(entries: Sequence[Entry]) -> str:
    """Return the text of the column SCENARIOS."""
    passed = sum(it["verdict"] == "Passed" for it in entries)
    if any(it["verdict"] not in DECIDED for it in entries):
        done = sum(it["verdict"] in DECIDED for it in entries)
        return f"Running {done}/{len(entries)}"
    return f"{passed}/{len(entries)} Passed"


def condition(entries: Sequence[Entry], *, current: bool) -> Condition:
    """Return `ResilienceVerified`. `current`: the run judged the data plane as it is now."""
    if not entries:
        return Condition(KIND, "Unknown", "NotRun", "no failure scenario has been run on this ledger")
    if any(it["verdict"] not in DECIDED for it in entries):
        at = next(
            (f"{it['name']}, {it['phase']}" for it in entries if it["verdict"] == "Running" and "phase" in it), ""
        )
        return Condition(KIND, "Unknown", "Running", f"{summary(entries)}{': ' + at if at else ''}")
    failed = [it for it in entries if it["verdict"] == "Failed"]
    unclean = [
        f"{it['name']}: {it.get('cleanupMessage', 'something of its fault is left')}"
        for it in entries
        if it.get("cleanup") == "CleanupFailed"
    ]
    if failed:
        wrong = [f"{it['name']}: {it.get('reason', '')} {it.get('message', '')}".strip() for it in failed]
        # What has to be run comes first: the message may be cut at its end.
        return Condition(KIND, "False", "ScenarioFailed", "; ".join([*unclean, *wrong]))
    if unclean:
        return Condition(KIND, "False", "CleanupFailed", "; ".join(unclean))
    open_ = [it for it in entries if it["verdict"] != "Passed"]
    if open_:
        said = "; ".join(f"{it['name']} {it['verdict']}: {it.get('message', it.get('reason', ''))}" for it in open_)
        return Condition(KIND, "Unknown", "NotAllPassed", said)
    if not current:
        return Condition(KIND, "Unknown", "Outdated", f"{summary(entries)}, but the data plane has changed since")
    return Condition(KIND, "True", "AllPassed", summary(entries))
