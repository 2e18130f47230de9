"""Equal values are equal bytes, and survive being stored."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chronicle_ledger.domain.canonical import canonical_json, timestamp
from chronicle_ledger.store.arrays import binary, plain, quoted
from chronicle_ledger.store.migrate import Migration

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), json_values, max_size=4))
def test_reading_and_writing_again_gives_the_same_text(value: dict[str, object]) -> None:
    text = canonical_json(value)
    assert text.isascii()
    assert canonical_json(json.loads(text)) == text
    assert canonical_json(dict(reversed(value.items()))) == text


def test_what_json_cannot_say_is_refused() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json({"x": float("nan")})


def test_a_moment_has_one_spelling_whatever_its_zone() -> None:
    moment = datetime(2026, 1, 31, 9, 0, tzinfo=UTC)
    for spelt in (moment.astimezone(timezone(timedelta(hours=5))), moment):
        timestamp.cache_clear()  # equal moments are one to the cache
        assert timestamp(spelt) == "2026-01-31T09:00:00.000000Z"


def test_array_literals_are_quoted() -> None:
    assert plain([1, None]) == "{1,NULL}"
    assert quoted(['a"b', "c\\d", ""]) == '{"a\\"b","c\\\\d",""}'
    assert quoted([]) == binary([]) == "{}"
    assert binary([b"\x00\xff"]) == '{"\\\\x00ff"}'


def test_a_migration_is_cut_at_semicolons_that_end_lines_and_not_in_comments() -> None:
    migration = Migration(1, "x", "-- one; two;\nCREATE TABLE a (b INT8);\n\nCREATE TABLE c (d TEXT);\n")
    assert migration.statements("cockroachdb") == ["CREATE TABLE a (b INT8)", "CREATE TABLE c (d TEXT);"]
