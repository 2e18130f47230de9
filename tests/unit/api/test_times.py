"""Times have one grammar, in queries and in bodies: RFC 3339 with at most six digits of a fraction."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from chronicle_ledger.api.schemas import CashRequest
from chronicle_ledger.api.transfers import CASH
from chronicle_ledger.web import times
from chronicle_ledger.web.bodies import moment
from chronicle_ledger.web.idempotency import _canonical
from chronicle_ledger.web.parameters import Query
from chronicle_ledger.web.problems import Problem

GOOD = {
    "2026-01-31T09:00:00Z": datetime(2026, 1, 31, 9, tzinfo=UTC),
    "2026-01-31t09:00:00z": datetime(2026, 1, 31, 9, tzinfo=UTC),
    "2026-01-31T09:00:00+02:30": datetime(2026, 1, 31, 6, 30, tzinfo=UTC),
    "2026-01-31T09:00:00-02:30": datetime(2026, 1, 31, 11, 30, tzinfo=UTC),
    "2026-01-31T09:00:00-00:00": datetime(2026, 1, 31, 9, tzinfo=UTC),
    "2026-01-31T23:59:59.999999Z": datetime(2026, 1, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    "2026-01-31T09:00:00.5Z": datetime(2026, 1, 31, 9, 0, 0, 500_000, tzinfo=UTC),
    "2024-02-29T00:00:00.000001Z": datetime(2024, 2, 29, 0, 0, 0, 1, tzinfo=UTC),
}
BAD = [
    "",
    "now",
    "2026-01-31",
    "2026-W05-6T09:00:00Z",
    "2026-031T09:00:00Z",
    "20260131T090000Z",
    "2026-01-31T09Z",
    "2026-01-31T09:00Z",
    "2026-01-31T0900:00Z",
    "2026-01-31T09:00:00",
    "2026-01-31T09:00:00,5Z",
    "2026-01-31T09:00:00.Z",
    "2026-01-31T23:59:59.9999999Z",
    "2016-12-31T23:59:60Z",
    "2026-01-31 09:00:00Z",
    "2026-01-31T09:00:00+00:00:30",
    "2026-01-31T09:00:00+0000",
    "2026-01-31T09:00:00+00",
    "2026-01-31T09:00:00+24:00",
    "2026-01-31T09:00:00+00:60",
    "2026-01-31T09:00:00 Z",
    " 2026-01-31T09:00:00Z",
    "2026-01-31T09:00:00Z\n",
    "2026-02-29T09:00:00Z",
    "2026-01-31T24:00:00Z",
    "0000-01-31T09:00:00Z",
    "+2026-01-31T09:00:00Z",
    "٢٠٢٦-01-31T09:00:00Z",
    "1769850000",
    "2026-01-31T09:00:00\u221205:00",
]


def in_query(text: str) -> datetime | None:
    raw = "at=" + "".join(f"%{byte:02X}" for byte in text.encode())
    return Query(raw.encode(), ("at",)).moment("at")


def in_body(value: Any) -> datetime | None:
    body: CashRequest = CASH.decode(json.dumps({"amount": 1, "effective_at": value}).encode())
    return moment(body.effective_at)


@pytest.mark.parametrize("text", GOOD)
def test_a_time_of_the_grammar_is_read_alike_in_query_and_body(text: str) -> None:
    assert in_query(text) == in_body(text) == GOOD[text]


@pytest.mark.parametrize("text", BAD)
def test_all_else_is_refused_alike_in_query_and_body(text: str) -> None:
    for read, field in ((in_query, "at"), (in_body, "effective_at")):
        with pytest.raises(Problem) as refused:
            read(text)
        assert (refused.value.code, refused.value.status) == ("validation_failed", 422)
        assert refused.value.figures["field"] == field
        assert times.RULE in refused.value.detail


@pytest.mark.parametrize("value", [5, 1.5, True, [], {}])
def test_a_time_in_a_body_is_text(value: Any) -> None:
    with pytest.raises(Problem) as refused:
        in_body(value)
    assert (refused.value.code, refused.value.figures["field"]) == ("validation_failed", "effective_at")


def test_a_body_may_say_that_there_is_no_time() -> None:
    assert in_body(None) is None


@pytest.mark.parametrize("text", ["1899-12-31T23:59:59Z", "9001-01-01T00:00:00Z"])
def test_years_that_not_every_reader_can_hold_are_refused_in_bodies(text: str) -> None:
    with pytest.raises(Problem, match="between 1900 and 9000"):
        in_body(text)


@pytest.mark.parametrize(
    "text", ["2026-01-31T09:00:00Z", "2026-01-31T09:00:00.500000+01:00", "2026-01-31T09:00:00+00:00"]
)
def test_the_fingerprint_of_a_body_with_a_time_is_what_it_always_was(text: str) -> None:
    class Before(msgspec.Struct):
        metadata: dict[str, Any]
        effective_at: datetime
        amount: int
        currency: str | None
        expected_version: int | None

    body = CASH.decode(json.dumps({"amount": 1, "effective_at": text}).encode())
    former = Before({}, msgspec.convert(text, datetime), 1, None, None)
    assert _canonical.encode(body) == msgspec.json.Encoder(order="deterministic").encode(former)
