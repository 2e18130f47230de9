"""The version rule: neither order nor repetition of messages matters."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from chronicle_ledger.events.projection import Contradiction, missing, project, project_blindly
from chronicle_ledger.store.view_rows import Projection, ViewEntry, ViewState

NOW = datetime(2026, 1, 31, tzinfo=UTC)
ACCOUNTS = [UUID(int=number) for number in range(1, 4)]


def entry(account: UUID, version: int, amount: int, balance: int, source: int | None = 0) -> ViewEntry:
    txn = UUID(int=version)
    return ViewEntry(account, "EUR", version, amount, 0, balance, 0, txn, "transfer", NOW, NOW, "tests", source)


def history(account: UUID, amounts: list[int]) -> list[ViewEntry]:
    balance, entries = 0, []
    for version, amount in enumerate(amounts, 1):
        balance += amount
        entries.append(entry(account, version, amount, balance, source=version))
    return entries


@given(st.lists(st.lists(st.integers(-9, 9), min_size=1, max_size=8), min_size=3, max_size=3), st.integers())
def test_any_order_with_any_repetition_gives_the_same_view(amounts: list[list[int]], seed: int) -> None:
    entries = [e for account, own in zip(ACCOUNTS, amounts, strict=True) for e in history(account, own)]
    source = random.Random(seed)
    disordered = entries + source.choices(entries, k=len(entries))
    source.shuffle(disordered)
    result = project({}, disordered)
    assert isinstance(result, Projection)
    assert result.skipped == len(entries)
    for account, own in zip(ACCOUNTS, amounts, strict=True):
        assert [e.version for e in result.applied[account]] == list(range(1, len(own) + 1))
        assert result.applied[account][-1].balance_after == sum(own)


def test_versions_that_are_known_already_are_skipped() -> None:
    result = project({ACCOUNTS[0]: ViewState(2, 7, 0)}, history(ACCOUNTS[0], [3, 4, 5]))
    assert isinstance(result, Projection)
    assert (result.skipped, result.entries) == (2, 1)


def test_gaps_are_named_by_their_first_and_last_version() -> None:
    entries = [e for e in history(ACCOUNTS[0], [1] * 9) if e.version in {4, 5, 8}]
    assert missing({ACCOUNTS[0]: ViewState(1, 1, 0)}, entries) == [(ACCOUNTS[0], 2, 3), (ACCOUNTS[0], 6, 7)]


def test_a_gap_that_stays_open_is_a_contradiction() -> None:
    result = project({}, [entry(ACCOUNTS[0], 3, 1, 3)])
    assert isinstance(result, Contradiction)
    assert "version 3" in result.reason


def test_a_balance_that_does_not_follow_is_a_contradiction_unless_the_ledger_says_so() -> None:
    wrong = entry(ACCOUNTS[0], 2, 5, 99)
    result = project({ACCOUNTS[0]: ViewState(1, 1, 0)}, [wrong])
    assert isinstance(result, Contradiction)
    assert "says balance 99" in result.reason
    assert "makes 6" in result.reason
    trusted = project({ACCOUNTS[0]: ViewState(1, 1, 0)}, [wrong], frozenset({(ACCOUNTS[0], 2)}))
    assert isinstance(trusted, Projection)


def test_without_the_rule_a_repeated_message_counts_twice() -> None:
    once = history(ACCOUNTS[0], [5])
    assert project_blindly({}, once + once).applied[ACCOUNTS[0]][-1].balance_after == 10
    held = [replace(entry(ACCOUNTS[0], 1, 0, 0), held=3, held_after=3)] * 2
    added = project_blindly({ACCOUNTS[0]: ViewState(4, 7, 1)}, held).applied[ACCOUNTS[0]]
    assert [(e.balance_after, e.held_after) for e in added] == [(7, 4), (7, 7)]


def test_what_is_held_has_to_follow_too_and_both_sums_are_named() -> None:
    known = {ACCOUNTS[0]: ViewState(1, 1, 2)}
    right = replace(entry(ACCOUNTS[0], 2, 5, 6), held=4, held_after=6)
    assert isinstance(project(known, [right]), Projection)
    result = project(known, [replace(right, held_after=7)])
    assert isinstance(result, Contradiction)
    assert "says balance 6 and held 7; what is before it makes 6 and 6" in result.reason


def test_of_two_messages_with_one_version_the_first_counts_and_before_both_what_the_ledger_says() -> None:
    one, two = entry(ACCOUNTS[0], 1, 5, 5, source=1), entry(ACCOUNTS[0], 1, 5, 5, source=0)
    for messages, source in (([one, two], 0), ([one, two, entry(ACCOUNTS[0], 1, 5, 5, source=None)], None)):
        result = project({}, messages)
        assert isinstance(result, Projection)
        assert [it.source for it in result.applied[ACCOUNTS[0]]] == [source]
