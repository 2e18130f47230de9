"""What set-up would take away, where a feed goes on, how long to wait, and how a check ends."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from nats.js.api import StorageType

from chronicle_ledger.events.backoff import Backoff, Pace
from chronicle_ledger.events.event import Unreadable, decode
from chronicle_ledger.events.feed import BadPosition, Position
from chronicle_ledger.events.stream import StreamSpec, grows, shrinkage, transactions
from chronicle_ledger.proof.check import Check, Result, overall


def test_a_stream_that_is_as_declared_neither_shrinks_nor_grows() -> None:
    spec = transactions(3)
    assert shrinkage(spec.config(), spec) == []
    assert not grows(spec.config(), spec)


@pytest.mark.parametrize(
    ("smaller", "says"),
    [
        (StreamSpec("S", ("a", "b"), 1), "replicas: 3 -> 1"),
        (StreamSpec("S", ("a",), 3), "subjects: b would be removed"),
        (StreamSpec("S", ("a", "b"), 3, duplicate_window=5), "duplicate window: 120 s -> 5 s"),
        (StreamSpec("S", ("a", "b"), 3, max_bytes=1000), "max_bytes: unlimited -> 1000"),
        (StreamSpec("S", ("a", "b"), 3, max_age=60), "max_age: unlimited -> 60"),
    ],
)
def test_each_way_to_shrink_is_named_and_the_way_back_is_growth(smaller: StreamSpec, says: str) -> None:
    large = StreamSpec("S", ("a", "b"), 3)
    assert shrinkage(large.config(), smaller) == [says]
    assert shrinkage(smaller.config(), large) == []
    assert grows(smaller.config(), large)


def test_a_stream_in_memory_cannot_become_one_on_file() -> None:
    config = transactions(1).config()
    config.storage = StorageType.MEMORY
    assert "storage" in shrinkage(config, transactions(1))[0]


def test_a_position_is_read_as_it_was_written() -> None:
    assert Position.parse(str(Position(1700000000000, 42))) == Position(1700000000000, 42)


@pytest.mark.parametrize("text", ["", "42", "a-1", "1-", "-1", "1-2-3", "1" * 50 + "-1"])
def test_what_is_no_position_is_refused(text: str) -> None:
    with pytest.raises(BadPosition):
        Position.parse(text)


def test_pauses_grow_to_a_bound_and_begin_anew_after_success() -> None:
    backoff = Backoff(first=0.1, most=1.0, source=random.Random(1))
    pauses = [backoff.after_failure() for _ in range(40)]
    assert max(pauses) <= 1.0
    assert max(pauses) > 0.5
    backoff.after_success()
    assert backoff.after_failure() <= 0.1


class Edge(random.Random):
    """Dice that always show the lower, or the upper, end of what is asked for."""

    def __init__(self, *, upper: bool) -> None:
        super().__init__()
        self._upper = upper

    def uniform(self, a: float, b: float) -> float:
        return b if self._upper else a


@pytest.mark.parametrize(
    ("upper", "most", "pauses"),
    [(False, 1.0, [0.05] * 6), (True, 1.0, [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]), (False, 0.04, [0.04] * 6)],
)
def test_a_pause_is_half_of_the_first_at_least_and_doubles_at_most(
    upper: bool, most: float, pauses: list[float]
) -> None:
    backoff = Backoff(first=0.1, most=most, source=Edge(upper=upper))
    assert [backoff.after_failure() for _ in range(6)] == pytest.approx(pauses)


def test_nothing_waits_longer_than_two_seconds_after_a_failure_unless_it_says_so() -> None:
    backoff = Backoff(source=random.Random(1))
    assert 1.0 < max(backoff.after_failure() for _ in range(60)) <= 2.0


def test_looking_slows_down_while_nothing_comes() -> None:
    pace = Pace()
    first = pace.empty()
    for _ in range(50):
        last = pace.empty()
    assert first < last <= 0.25
    assert pace.found(all_of_it=True) == first
    assert pace.found(all_of_it=False) == 0, "more is there"
    assert pace.empty() == first


def test_a_proof_is_failed_before_it_is_inconclusive_and_passed_only_when_nothing_speaks_against_it() -> None:
    good, bad, unknown, absent = (Check(name, "things", "they agree") for name in "abcd")
    bad.differ("one is missing", version=3)
    bad.differ("another is missing", version=4)
    unknown.prevent(Result.INCONCLUSIVE, "no answer")
    absent.prevent(Result.NOT_APPLICABLE, "nothing there")
    assert overall([good, absent]) is Result.PASSED
    assert overall([good, unknown]) is Result.INCONCLUSIVE
    assert overall([good, unknown, bad]) is Result.FAILED
    assert bad.document()["message"] == "one is missing (and 1 more)"
    assert bad.document()["difference"] == {"version": 3}
    assert [check.ok for check in (good, bad, unknown, absent)] == [True, False, False, True]


@pytest.mark.parametrize("data", [b"", b"{}", b"\xff\xfe", b"[1]"])
def test_what_is_no_event_says_why(data: bytes) -> None:
    with pytest.raises(Unreadable, match="not an event"):
        decode(data)


ENTRY = {
    "account_id": "00000000-0000-4000-8000-000000000001", "currency": "EUR", "version": 1, "amount": 5, "held": 0,
    "balance_after": 5, "held_after": 0,
}  # fmt: skip
EVENT = {
    "schema": 1, "id": "00000000-0000-4000-8000-000000000002", "kind": "deposit", "hash": "00", "entries": [ENTRY],
    "posted_at": "2026-01-31T09:00:00.000000Z", "effective_at": "1899-12-31T23:00:00.000000Z",
}  # fmt: skip


def _event(**fields: Any) -> bytes:
    entry = {**ENTRY, **{name: fields.pop(name) for name in tuple(fields) if name in ENTRY}}
    return json.dumps({**EVENT, "entries": [entry], **fields}).encode()


@pytest.mark.parametrize("fields", [{}, {"amount": -(2**63), "version": 2**63 - 1}, {"currency": "XPOINTS2"}])
def test_what_the_database_can_store_is_an_event(fields: dict[str, Any]) -> None:
    assert decode(_event(**fields)).entries[0].balance_after == 5


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"version": 0}, "version"),
        ({"version": 2**70}, "version"),
        ({"amount": 2**63}, "amount"),
        ({"held": -(2**63) - 1}, "held"),
        ({"balance_after": 2**70}, "balance_after"),
        ({"held_after": 2**70}, "held_after"),
        ({"currency": "E\0R"}, "currency"),
        ({"currency": "EUR\n"}, "currency"),
        ({"currency": ""}, "currency"),
        ({"posted_at": "2026-01-31T09:00:00"}, "timezone"),
        ({"posted_at": "2026-01-31T00:00:00+05:00"}, "UTC"),
        ({"posted_at": "0001-01-01T00:00:00Z"}, "years 1899 to 9001"),
        ({"effective_at": "9999-12-31T00:00:00Z"}, "years 1899 to 9001"),
        ({"effective_at": "10000-01-01T00:00:00Z"}, "effective_at"),
        ({"entries": []}, "an event has entries"),
    ],
)
def test_what_the_database_would_refuse_is_no_event(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(Unreadable, match=says):
        decode(_event(**fields))
