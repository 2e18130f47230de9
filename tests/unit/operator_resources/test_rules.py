"""The rules of the CRD: each has a bad spec by which it is shown to work, and a sentence that is its own."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
import yaml

from chronicle_operator import crd
from chronicle_operator.crd import rules
from support.bad_specs import BY_RULE, BY_SCHEMA, BadSpec
from support.ledger_specs import SAMPLES

SCHEMA: dict[str, Any] = crd.manifest()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]


def found_rules(node: Any, path: str = "") -> list[tuple[str, str]]:
    """Return path and message of every rule."""
    if not isinstance(node, dict):
        return []
    here = [(path, rule["message"]) for rule in node.get(rules.KEY, [])]
    for name, inner in node.get("properties", {}).items():
        here += found_rules(inner, f"{path}.{name}".lstrip("."))
    return here + found_rules(node.get("items"), path)


def merged(base: Any, change: Any) -> Any:
    """Return a merge patch's outcome (RFC 7386)."""
    if not isinstance(base, dict) or not isinstance(change, dict):
        return change
    kept = {key: value for key, value in base.items() if key not in change}
    return kept | {key: merged(base.get(key, {}), value) for key, value in change.items() if value is not None}


def spec_of(bad: BadSpec) -> Any:
    sample = yaml.safe_load((SAMPLES / "two-regions.yaml").read_text())["spec"]
    return dict(bad.change) if bad.new else merged(sample, dict(bad.change))


def test_every_rule_has_exactly_one_bad_spec_that_is_known_by_its_words() -> None:
    for path, message in found_rules(SCHEMA):
        known = [bad for bad in BY_RULE if bad.words in message and bad.at == path]
        assert len(known) == 1, f"{path}: {message}"
    assert len(found_rules(SCHEMA)) == len(BY_RULE)


@pytest.mark.parametrize("bad", BY_RULE, ids=lambda it: f"{it.at}: {it.words}")
def test_what_a_rule_is_to_refuse_fits_the_schema(bad: BadSpec) -> None:
    """The API server does not evaluate rules of an object that the schema refuses already."""
    jsonschema.validate(spec_of(bad), SCHEMA["properties"]["spec"])


@pytest.mark.parametrize("bad", BY_SCHEMA, ids=lambda it: it.at)
def test_what_the_schema_is_to_refuse_does_not_fit_it(bad: BadSpec) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(spec_of(bad), SCHEMA["properties"]["spec"])
