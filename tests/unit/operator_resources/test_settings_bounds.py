"""What the service refuses at its start, the API server refuses before: no pod crashes for a spec that was accepted."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import annotated_types
import pytest
from pydantic import ValidationError

from chronicle_ledger.settings import Settings, load
from chronicle_operator import crd
from chronicle_operator.crd import rules
from chronicle_operator.crd.spec import seconds
from chronicle_operator.resources import build
from support.ledger_specs import EVERYTHING, context

API: dict[str, Any] = crd.manifest()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"][
    "properties"
]["api"]

FROM_SPEC = {
    "CHRONICLE_DATABASE_POOL_SIZE": "databasePoolSize",
    "CHRONICLE_STATEMENT_TIMEOUT": "statementTimeout",
    "CHRONICLE_REQUEST_DEADLINE": "requestDeadline",
}
"""Settings whose value a person writes, and the field of `spec.api` where."""


def variables(spec: dict[str, Any]) -> dict[str, str]:
    """Return the plain settings of every pod of ours."""
    found: dict[str, str] = {}
    for item in build(context(spec)):
        if item["kind"] == "Deployment":
            for container in item["spec"]["template"]["spec"]["containers"]:
                found |= {it["name"]: it["value"] for it in container["env"] if "value" in it}
    return found


def bounds(field: str) -> tuple[Any, Any]:
    """Return the bounds that the service checks."""
    (least,) = [getattr(it, "gt", getattr(it, "ge", None)) for it in constraints(field, "gt", "ge")]
    (most,) = [getattr(it, "le", None) for it in constraints(field, "le")]
    return least, most


def constraints(field: str, *kinds: str) -> Iterator[Any]:
    for it in Settings.model_fields[field].metadata:
        if isinstance(it, annotated_types.BaseMetadata) and any(getattr(it, kind, None) is not None for kind in kinds):
            yield it


def test_every_setting_that_a_spec_decides_is_compared_here() -> None:
    plain, chosen = variables({}), variables({"api": {name: changed(name) for name in FROM_SPEC.values()}})
    assert {name for name, value in chosen.items() if plain.get(name) != value} == set(FROM_SPEC)


def changed(field: str) -> Any:
    return {"databasePoolSize": 9, "statementTimeout": "4s", "requestDeadline": "9s"}[field]


def test_the_bounds_of_the_service_are_those_of_the_crd() -> None:
    pool = API["properties"]["databasePoolSize"]
    assert (pool["minimum"], pool["maximum"]) == bounds("database_pool_size")
    longest = timedelta(seconds=seconds(rules.LONGEST_DEADLINE)).total_seconds()
    for field in ("statement_timeout", "request_deadline"):
        least, most = bounds(field)
        assert 0 <= least <= 1, f"{field}: a duration of the CRD that is above zero is a second at least"
        assert most == longest, field
    stored = [rule["rule"] for rule in API[rules.KEY]]
    assert stored == [rules.STATEMENT_TIMEOUT.rule, rules.REQUEST_DEADLINE.rule]


@pytest.mark.parametrize(
    ("statement", "deadline", "taken"),
    [(3, 8, True), (3599, 3600, True), (8, 8, False), (10, 8, False), (0, 8, False), (3600, 7200, False)],
)
def test_the_rules_say_what_the_service_says(statement: int, deadline: int, taken: bool) -> None:
    """The rules in words: above zero, shorter than the deadline, and an hour at most."""
    longest = seconds(rules.LONGEST_DEADLINE)
    assert (0 < statement < deadline <= longest) is taken
    try:
        Settings(database_url="postgresql://x/y", statement_timeout=statement, request_deadline=deadline)
    except ValidationError:
        assert not taken
    else:
        assert taken


def test_what_a_spec_with_everything_gives_the_service_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"FILE", "CERT", "KEY"}
    for spec in ({}, EVERYTHING):
        for name, value in variables(spec).items():
            if not files & set(name.split("_")):
                monkeypatch.setenv(name, value)
        assert load().nats_replicas == 3
