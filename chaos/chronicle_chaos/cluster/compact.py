"""A journal as the status of a Kubernetes resource has it: small, without floats, every field declared there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from chronicle_chaos.record.journal import CleanupRecord, Journal, ScenarioRecord

MESSAGE = 500
CHECK_MESSAGE = 200
# What a status entry and a journal's record have in common, under the same names and in the same form.
ALIKE = ("name", "verdict", "faultConfirmed", "startTime", "faultWindow", "steadyTime", "completionTime",
         "longestGapMilliseconds", "recoveryMilliseconds", "acknowledgedWrites", "lostWrites")  # fmt: skip


def entries(journal: Journal, injector: str = "ChaosMesh") -> list[dict[str, Any]]:
    """Return one entry a scenario, as `status.scenarios` has them."""
    return [_entry(record, journal, injector) for record in journal.scenarios]


def record(entry: Mapping[str, Any]) -> ScenarioRecord:
    """Return an entry of `status.scenarios` as the record it was made of, as far as the entry has it.

    While a scenario runs its message is the phase. Raises msgspec.ValidationError where the entry is none.
    """
    known = {key: entry[key] for key in ALIKE if entry.get(key) is not None}
    words = {
        "title": entry.get("name"),
        "reason": entry.get("reason") or "",
        "message": entry.get("message") or entry.get("phase") or "",
        "cleanup": {"result": entry.get("cleanup") or "NotNeeded", "message": entry.get("cleanupMessage") or ""},
    }
    return msgspec.convert({**known, **words}, ScenarioRecord)


def _entry(record: ScenarioRecord, journal: Journal, injector: str) -> dict[str, Any]:
    decided = record.completion_time is not None
    verdict = record.verdict if decided else ("Running" if record.start_time else "Pending")
    if not decided and journal.completion_time is not None:
        verdict = "Aborted"
    window, cleanup = record.fault_window, record.cleanup
    found = {
        "name": record.name,
        "verdict": verdict,
        "reason": record.reason if decided or verdict == "Aborted" else None,
        "message": _cut(record.message, MESSAGE) if decided or verdict == "Aborted" else None,
        "phase": record.phases[-1].name if record.phases else None,
        "runID": journal.run_id,
        "injector": record.injector or injector,
        "faultConfirmed": record.fault_confirmed,
        "startTime": record.start_time,
        "faultWindow": _known({"injected": window.injected, "proven": window.proven, "healed": window.healed})
        if window
        else None,
        "steadyTime": record.steady_time,
        "completionTime": record.completion_time,
        "longestGapMilliseconds": record.longest_gap_milliseconds,
        "recoveryMilliseconds": record.recovery_milliseconds,
        "acknowledgedWrites": record.acknowledged_writes,
        "lostWrites": record.lost_writes,
        "checks": [
            {"name": it.name, "result": it.result, "message": _cut(it.message, CHECK_MESSAGE)} for it in record.checks
        ]
        or None,
        "experiments": [dict(it) for it in record.experiments][:20] or None,
        # Until the scenario is decided nobody knows whether something will have to be cleaned up.
        "cleanup": cleanup.result if decided or cleanup.result != CleanupRecord().result else None,
        "cleanupMessage": _cut(cleanup.message, MESSAGE) or None,
    }
    return _known(found)


def _known(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
