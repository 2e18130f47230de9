"""What the client says and understands is what openapi.json documents."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from chronicle_client import Money, Operation, Page, answers, errors, operations

DOCUMENT: dict[str, Any] = json.loads((Path(__file__).parents[3] / "openapi.json").read_text())
A, B = uuid.UUID(int=1), uuid.UUID(int=2)  # the same in each worker: they are parts of test names
FIVE = Money(5, "EUR")
NOW = datetime(2026, 3, 1, tzinfo=UTC)

EVERY: list[Operation[Any]] = [
    operations.open_account("EUR", floor=None, id=A, metadata={"a": 1}),
    operations.update_account(A, status="frozen", metadata={}, expected_version=3),
    operations.transfer(A, B, FIVE, effective_at=NOW, expected_version=1, metadata={}),
    operations.deposit(A, FIVE, effective_at=NOW, metadata={}),
    operations.withdrawal(A, FIVE, effective_at=NOW, expected_version=1, metadata={}),
    operations.journal([operations.leg(A, FIVE), operations.leg(B, -FIVE)], effective_at=NOW, metadata={}),
    operations.reverse(A, metadata={}),
    operations.hold(A, FIVE, destination_id=B, expires_in=60, metadata={}),
    operations.capture(A, amount=2),
    operations.release(A),
    operations.get_account(A),
    operations.get_balance(A, NOW),
    operations.get_transaction(A),
    operations.get_hold(A),
    operations.get_health(),
    operations.accounts(currency="EUR", status="open", kind="customer").page("c"),
    operations.history(A).page("c"),
    operations.view_balances(currency="EUR", min_version=1).page("c"),
    operations.statement(A, since=NOW, until=NOW, min_version=1).page("c"),
    operations.get_trial_balance(),
]


def documented(operation: Operation[Any]) -> Mapping[str, Any]:
    """Return the document's entry of an operation; fail where there is none."""
    for template, methods in DOCUMENT["paths"].items():
        pattern = re.sub(r"\\{\w+\\}", "[0-9a-f-]+", re.escape(template))
        if re.fullmatch(pattern, operation.path) and operation.method.lower() in methods:
            found: Mapping[str, Any] = methods[operation.method.lower()]
            return found
    pytest.fail(f"openapi.json has no {operation.method} {operation.path}")


def schema(name: str) -> Mapping[str, Any]:
    """Return a schema of the document."""
    found: Mapping[str, Any] = DOCUMENT["components"]["schemas"][name.rpartition("/")[2]]
    return found


@pytest.mark.parametrize("operation", EVERY, ids=lambda it: f"{it.method} {it.path.replace(str(A), '{id}')}")
def test_each_operation_is_one_of_the_document(operation: Operation[Any]) -> None:
    entry = documented(operation)
    parameters = {it["name"]: it for it in (_resolved(it) for it in entry.get("parameters", []))}
    assert set(operation.query) <= {name for name, it in parameters.items() if it["in"] == "query"}
    assert ("Idempotency-Key" in parameters) == (operation.key is not None)
    if operation.body is not None:
        reference = next(iter(entry["requestBody"]["content"].values()))["schema"]["$ref"]
        wanted = schema(reference)
        assert set(wanted.get("required", [])) <= set(operation.body) <= set(wanted["properties"])


def _resolved(parameter: Mapping[str, Any]) -> Mapping[str, Any]:
    reference = parameter.get("$ref")
    if reference is None:
        return parameter
    found: Mapping[str, Any] = DOCUMENT["components"]["parameters"][reference.rpartition("/")[2]]
    return found


@pytest.mark.parametrize("operation", EVERY, ids=lambda it: f"{it.answer.__name__} {it.method} {it.path}")
def test_each_field_of_an_answer_is_one_of_the_document(operation: Operation[Any]) -> None:
    success = next(answer for status, answer in documented(operation)["responses"].items() if status.startswith("2"))
    wanted = schema(next(iter(success["content"].values()))["schema"]["$ref"])
    fields = {it.encode_name for it in msgspec.structs.fields(operation.answer)}
    assert fields <= set(wanted["properties"])


def test_each_code_of_the_document_belongs_to_exactly_one_class() -> None:
    codes = schema("ProblemAnswer")["properties"]["code"]["enum"]
    owners = {code: [kind for kind in errors.KINDS if code in kind.codes] for code in codes}
    assert {code for code, kinds in owners.items() if len(kinds) != 1} == set()
    assert set().union(*(kind.codes for kind in errors.KINDS)) == set(codes)


def test_a_time_without_a_zone_is_refused_before_it_is_sent() -> None:
    with pytest.raises(ValueError, match="time zone"):
        operations.get_balance(A, datetime(2026, 3, 1))  # noqa: DTZ001 - the mistake under test


def test_the_codes_after_which_nothing_was_posted_are_codes_of_unavailable() -> None:
    assert errors.Unavailable.codes > errors.NOTHING_DONE


def test_each_page_gives_its_items() -> None:
    pages: list[Page[Any]] = [
        answers.AccountPage([], None), answers.HistoryPage([], "x"), answers.ViewBalancePage([], None)
    ]  # fmt: skip
    assert [(list(it.items), it.next_cursor) for it in pages] == [([], None), ([], "x"), ([], None)]
