"""What the statuses of ledgers say, as figures for Prometheus. A figure that the status lacks is absent, never 0."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

LEDGER = ("namespace", "name")
SCENARIO = (*LEDGER, "scenario")


class LedgerMetrics(Collector):
    """The latest status of each ledger, read at each scrape."""

    def __init__(self) -> None:
        """Begin without ledgers."""
        self._statuses: dict[tuple[str, str], Mapping[str, Any]] = {}
        self._passes: dict[tuple[str, str, str], float] = {}

    def set(self, namespace: str, name: str, status: Mapping[str, Any]) -> None:
        """Take `status` as the latest one of a ledger."""
        self._statuses[namespace, name] = status
        for scenario in status.get("scenarios") or ():
            end = _seconds(scenario.get("completionTime"))
            if scenario.get("verdict") == "Passed" and end is not None:
                self._passes[namespace, name, scenario["name"]] = end

    def forget(self, namespace: str, name: str) -> None:
        """Drop the figures of a ledger that is gone."""
        self._statuses.pop((namespace, name), None)
        self._passes = {key: end for key, end in self._passes.items() if key[:2] != (namespace, name)}

    def describe(self) -> Iterable[Metric]:
        """Return the families without samples, so that a second metric of one name is refused."""
        return _Families().all()

    def collect(self) -> Iterable[Metric]:
        """Return the figures of every ledger."""
        families = _Families()
        for ledger, status in self._statuses.items():
            families.add_ledger(ledger, status)
            for scenario in status.get("scenarios") or ():
                families.add_scenario((*ledger, scenario["name"]), scenario)
        for key, end in self._passes.items():
            families.passed.add_metric(key, end)
        return families.all()


class _Families:
    """The metric families of one scrape."""

    def __init__(self) -> None:
        self.ready = _gauge("operator_ledger_ready", "1 when the ledger is Ready", LEDGER)
        self.nodes = _gauge(
            "ledger_database_nodes", "Database nodes that are live, and how many there are", (*LEDGER, "figure")
        )
        self.lag = _gauge("ledger_lag_events", "Events that the read model is behind", LEDGER)
        self.seal = _gauge("ledger_seal_timestamp_seconds", "When the latest seal was signed", LEDGER)
        self.certificate = _gauge(
            "ledger_certificate_expiry_timestamp_seconds", "The earliest end of a certificate's validity", LEDGER
        )
        self.verdict = _gauge("scenario_verdict", "1 for the verdict of the latest run", (*SCENARIO, "verdict"))
        self.gap = _gauge("scenario_longest_gap_seconds", "Longest time without an acknowledged write", SCENARIO)
        self.recovery = _gauge("scenario_recovery_seconds", "Time from the end of the fault to steady state", SCENARIO)
        self.acknowledged = _gauge("scenario_acknowledged_writes", "Writes that the ledger acknowledged", SCENARIO)
        self.lost = _gauge("scenario_lost_writes", "Acknowledged writes that were not found afterwards", SCENARIO)
        self.passed = _gauge("scenario_passed_timestamp_seconds", "End of the latest run that passed", SCENARIO)

    def all(self) -> list[Metric]:
        """Return every family."""
        return list(vars(self).values())

    def add_ledger(self, ledger: tuple[str, str], status: Mapping[str, Any]) -> None:
        conditions = {it["type"]: it["status"] for it in status.get("conditions") or ()}
        if "Ready" in conditions:
            self.ready.add_metric(ledger, conditions["Ready"] == "True")
        database = status.get("cockroachdb") or {}
        for figure, field in (("live", "nodesLive"), ("total", "nodesTotal")):
            _add(self.nodes, (*ledger, figure), database.get(field))
        _add(self.lag, ledger, (status.get("nats") or {}).get("lagEvents"))
        _add(self.seal, ledger, _seconds((status.get("seal") or {}).get("time")))
        _add(self.certificate, ledger, _seconds((status.get("certificates") or {}).get("expires")))

    def add_scenario(self, key: tuple[str, str, str], scenario: Mapping[str, Any]) -> None:
        self.verdict.add_metric((*key, scenario["verdict"]), 1)
        _add(self.gap, key, scenario.get("longestGapMilliseconds"), 1000)
        _add(self.recovery, key, scenario.get("recoveryMilliseconds"), 1000)
        _add(self.acknowledged, key, scenario.get("acknowledgedWrites"))
        _add(self.lost, key, scenario.get("lostWrites"))


def _gauge(name: str, text: str, labels: tuple[str, ...]) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"chronicle_{name}", text, labels=labels)


def _add(family: GaugeMetricFamily, labels: tuple[str, ...], value: float | None, divisor: int = 1) -> None:
    if value is not None:
        family.add_metric(labels, value / divisor)


def _seconds(text: str | None) -> float | None:
    return None if text is None else datetime.fromisoformat(text).timestamp()
