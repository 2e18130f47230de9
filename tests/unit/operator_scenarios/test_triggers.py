"""When a run is due: once for what asks for it, never twice, missed ones not piled up."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from chronicle_operator.crd.spec import ChronicleLedgerSpec
from chronicle_operator.scenarios.triggers import Due, after_slot, plan

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def spec(**resilience: Any) -> ChronicleLedgerSpec:
    return ChronicleLedgerSpec.model_validate({"resilience": resilience})


def test_a_new_run_id_is_due_once_under_every_trigger() -> None:
    asked = spec(trigger="Manual", runID="first")
    assert plan(asked, {}, "plane", NOW).due == Due("first", "Manual")
    assert plan(asked, {"run": {"requestedRunID": "first"}}, "plane", NOW).due is None
    assert plan(spec(trigger="OnReady", runID="x"), {"run": {"dataPlane": "plane"}}, "plane", NOW).due == Due(
        "x", "Manual"
    )


def test_on_ready_is_due_once_for_each_data_plane() -> None:
    ready = spec(trigger="OnReady")
    assert plan(ready, {}, "plane", NOW).due == Due("ready-plane", "OnReady")
    assert plan(ready, {"run": {"dataPlane": "plane"}}, "plane", NOW).due is None
    assert plan(ready, {"run": {"dataPlane": "plane"}}, "other", NOW).due == Due("ready-other", "OnReady")


def test_a_schedule_first_says_when_and_is_due_then_once_however_late() -> None:
    weekly = spec(trigger="Scheduled", schedule="0 3 * * 0")
    first = plan(weekly, {}, "plane", NOW)
    assert (first.due, first.next_time) == (None, "2026-03-08T03:00:00Z")
    assert plan(weekly, {"nextRunTime": "2026-03-08T03:00:00Z"}, "plane", NOW).due is None
    late = plan(weekly, {"nextRunTime": "2026-01-04T03:00:00Z"}, "plane", NOW)
    assert late.due == Due("cron-20260104-0300", "Scheduled")
    assert after_slot(weekly, NOW) == "2026-03-08T03:00:00Z"


def test_a_changed_schedule_begins_with_its_own_next_time_and_the_old_slot_is_no_more() -> None:
    weekly = {"nextRunTime": "2026-03-01T11:00:00Z"}
    changed = plan(spec(trigger="Scheduled", schedule="30 3 * * 1"), weekly, "plane", NOW)
    assert (changed.due, changed.next_time) == (None, "2026-03-02T03:30:00Z")
    earlier = plan(spec(trigger="Scheduled", schedule="0 13 * * *"), {"nextRunTime": "2026-03-08T03:00:00Z"}, "p", NOW)
    assert (earlier.due, earlier.next_time) == (None, "2026-03-01T13:00:00Z")
    later = plan(spec(trigger="Scheduled", schedule="0 3 1 4 *"), {"nextRunTime": "2026-03-08T03:00:00Z"}, "p", NOW)
    assert (later.due, later.next_time) == (None, "2026-04-01T03:00:00Z")


def test_a_schedule_that_is_none_is_said_and_starts_nothing() -> None:
    broken = plan(spec(trigger="Scheduled", schedule="every sunday"), {}, "plane", NOW)
    assert broken.due is None
    assert "five fields" in broken.problem


def test_without_scenarios_nothing_is_due() -> None:
    assert plan(spec(trigger="OnReady", scenarios=[]), {}, "plane", NOW).due is None
