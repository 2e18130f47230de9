"""What the builders make is what it was: an upgrade of the operator must not restart a database by accident."""

from __future__ import annotations

from typing import Any

import pytest

from chronicle_operator.packaging.packaging import dump
from chronicle_operator.resources import build
from support.golden import assert_golden
from support.kubernetes_schema import problems
from support.ledger_specs import EVERYTHING, context, regions

CASES: dict[str, dict[str, Any]] = {
    "smallest": {},
    "two-regions": {"regions": regions(2, 1)},
    "everything": EVERYTHING,
    "trial": {"tls": {"mode": "Disabled"}, "networkPolicy": "Disabled", "api": {"auth": {"mode": "Open"}}},
}


@pytest.mark.parametrize("case", CASES)
def test_the_objects_are_those_of_the_golden_file(case: str) -> None:
    assert_golden(f"resources-{case}.yaml", dump(*build(context(CASES[case]))))


@pytest.mark.parametrize("case", CASES)
def test_kubernetes_knows_every_field(case: str) -> None:
    found = [problem for manifest in build(context(CASES[case])) for problem in problems(manifest)]
    assert found == []


def test_a_field_that_kubernetes_does_not_know_is_noticed() -> None:
    manifest = next(it for it in build(context()) if it["kind"] == "StatefulSet")
    manifest["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = {"periodSeconds": 1}
    (problem,) = problems(manifest)
    assert ".spec.template.spec.containers[0].readynessProbe" in problem
