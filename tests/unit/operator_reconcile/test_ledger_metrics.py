"""A ledger's status becomes figures: what the status does not say is absent."""

from __future__ import annotations

from typing import Any

from chronicle_operator.serve.metrics import Metrics

PASSED = {
    "name": "nats-outage",
    "verdict": "Passed",
    "completionTime": "2026-03-01T12:00:00Z",
    "longestGapMilliseconds": 500,
    "recoveryMilliseconds": 8800,
    "acknowledgedWrites": 700,
    "lostWrites": 0,
}
STATUS: dict[str, Any] = {
    "conditions": [{"type": "Ready", "status": "True"}],
    "cockroachdb": {"nodesLive": 2, "nodesTotal": 3},
    "nats": {"lagEvents": 4},
    "seal": {"time": "2026-03-01T00:00:00Z"},
    "certificates": {"expires": "2026-06-01T00:00:00Z"},
    "scenarios": [PASSED],
}
SHOP = {"namespace": "money", "name": "shop"}
OUTAGE = {**SHOP, "scenario": "nats-outage"}


def test_each_figure_of_a_status_is_told_in_the_units_of_prometheus() -> None:
    metrics = Metrics()
    metrics.ledgers.set("money", "shop", STATUS)
    told = metrics.registry.get_sample_value
    assert told("chronicle_operator_ledger_ready", SHOP) == 1
    assert told("chronicle_ledger_database_nodes", {**SHOP, "figure": "live"}) == 2
    assert told("chronicle_ledger_database_nodes", {**SHOP, "figure": "total"}) == 3
    assert told("chronicle_ledger_lag_events", SHOP) == 4
    assert told("chronicle_ledger_seal_timestamp_seconds", SHOP) == 1_772_323_200
    assert told("chronicle_ledger_certificate_expiry_timestamp_seconds", SHOP) == 1_780_272_000
    assert told("chronicle_scenario_verdict", {**OUTAGE, "verdict": "Passed"}) == 1
    assert told("chronicle_scenario_longest_gap_seconds", OUTAGE) == 0.5
    assert told("chronicle_scenario_recovery_seconds", OUTAGE) == 8.8
    assert told("chronicle_scenario_acknowledged_writes", OUTAGE) == 700
    assert told("chronicle_scenario_lost_writes", OUTAGE) == 0
    assert told("chronicle_scenario_passed_timestamp_seconds", OUTAGE) == 1_772_366_400


def test_an_empty_status_has_no_figure_at_all() -> None:
    metrics = Metrics()
    metrics.ledgers.set("money", "shop", {})
    assert [sample for family in metrics.ledgers.collect() for sample in family.samples] == []


def test_a_run_that_failed_leaves_the_time_of_the_last_pass() -> None:
    metrics = Metrics()
    metrics.ledgers.set("money", "shop", STATUS)
    failed = {"name": "nats-outage", "verdict": "Failed", "completionTime": "2026-03-02T12:00:00Z"}
    metrics.ledgers.set("money", "shop", {**STATUS, "scenarios": [failed]})
    told = metrics.registry.get_sample_value
    assert told("chronicle_scenario_verdict", {**OUTAGE, "verdict": "Failed"}) == 1
    assert told("chronicle_scenario_verdict", {**OUTAGE, "verdict": "Passed"}) is None
    assert told("chronicle_scenario_lost_writes", OUTAGE) is None
    assert told("chronicle_scenario_passed_timestamp_seconds", OUTAGE) == 1_772_366_400


def test_a_ledger_that_is_gone_has_no_figure_any_more() -> None:
    metrics = Metrics()
    metrics.ledgers.set("money", "shop", STATUS)
    metrics.ledgers.set("money", "other", STATUS)
    metrics.ledgers.forget("money", "shop")
    left = {sample.labels["name"] for family in metrics.ledgers.collect() for sample in family.samples}
    assert left == {"other"}
