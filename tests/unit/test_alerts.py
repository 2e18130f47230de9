"""Alert rules name metrics that exist, each has a runbook, and each fires for its fault and for nothing else."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import REGISTRY

from chronicle_ledger import metrics as ledger_metrics
from chronicle_operator.serve.metrics import Metrics

ROOT = Path(__file__).parents[2]
RULES: list[dict[str, Any]] = yaml.safe_load((ROOT / "charts/chronicle-operator/files/alerts.yaml").read_text())[
    "groups"
][0]["rules"]
TESTS = ROOT / "tests" / "alerts" / "alerts_test.yaml"
SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum"), "gauge": ("",)}


def exported() -> set[str]:
    """The names of the series that a role of the ledger or the operator exports."""
    assert ledger_metrics.READY is not None
    families = [*REGISTRY.collect(), *Metrics().registry.collect(), *Metrics().ledgers.describe()]
    known = {family.name + suffix for family in families for suffix in SUFFIXES.get(family.type, ())}
    return known | {name for name in REGISTRY._names_to_collectors if name.startswith("chronicle_")}


def test_every_metric_of_a_rule_is_one_that_is_exported() -> None:
    named = {name for rule in RULES for name in re.findall(r"chronicle_\w+", rule["expr"])}
    assert named
    assert named <= exported()


def test_a_metric_that_nothing_exports_would_be_noticed() -> None:
    assert "chronicle_outbox_oldest_second" not in exported()


def test_every_alert_has_a_severity_and_a_runbook_with_its_four_parts() -> None:
    sections = re.split(r"^## ", (ROOT / "docs/runbooks.md").read_text(), flags=re.MULTILINE)[1:]
    runbooks = {section.splitlines()[0]: section for section in sections}
    assert set(runbooks) == {rule["alert"] for rule in RULES}
    for rule in RULES:
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert rule["annotations"]["runbook"] == f"docs/runbooks.md#{rule['alert'].lower()}"
        for part in ("Meaning", "Impact", "Diagnosis", "Mitigation"):
            assert f"**{part}.**" in runbooks[rule["alert"]], (rule["alert"], part)


def test_every_alert_is_tried_with_its_fault_and_without() -> None:
    names = [test["name"] for test in yaml.safe_load(TESTS.read_text())["tests"]]
    assert names == [f"{rule['alert']} {state}" for rule in RULES for state in ("fires", "is silent")]


@pytest.mark.skipif(shutil.which("promtool") is None, reason="no promtool on PATH (Debian: apt-get install prometheus)")
def test_promtool_sees_each_alert_fire_for_its_fault_and_stay_silent_otherwise() -> None:
    answer = subprocess.run(["promtool", "test", "rules", str(TESTS)], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr
