"""Which accounts a command touches, as far as is known before anything is read."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest

from chronicle_ledger.domain.account import (
    Account,
    AccountKind,
    AccountStatus,
    system_account_id,
    system_account_ids,
)
from chronicle_ledger.domain.book import Book
from chronicle_ledger.domain.commands import (
    CaptureHold,
    Command,
    Leg,
    OpenAccount,
    PlaceHold,
    PostEntries,
    ReleaseHold,
    Reverse,
    UpdateAccount,
)
from chronicle_ledger.domain.hashing import GENESIS
from chronicle_ledger.domain.needs import Facts, accounts_of, hold_of, target_of
from chronicle_ledger.domain.transaction import Hold, HoldState, TransactionKind
from support.ledger_bench import command, deposit, transfer, withdrawal

NOW = datetime(2026, 1, 31, 9, tzinfo=UTC)
A, B, C, HOLD, OTHER_HOLD = (UUID(int=number) for number in range(1, 6))
OUTSIDE = system_account_id("EUR", A)


def facts() -> Facts:
    """A's currency is known, and so are two holds on it: one for B, one for the world outside."""
    return Facts(
        currency_of={A: "EUR"},
        hold_parties={HOLD: (A, B), OTHER_HOLD: (A, None)},
        currencies={"EUR"},
        keys_known=True,
    )


@pytest.mark.parametrize(
    ("asked", "touched"),
    [
        (transfer("t", A, B, 1), {A, B}),
        (transfer("t", A, B, 1, expected_versions={C: 3}), {A, B, C}),
        (deposit("d", A, 1), {A, OUTSIDE}),
        (withdrawal("w", A, 1), {A, OUTSIDE}),
        (deposit("d", B, 1), {B}),
        (command(PostEntries, "d", kind=TransactionKind.DEPOSIT, legs=(Leg(A, 1), Leg(B, -1))), {A, B}),
        (command(PostEntries, "j", kind=TransactionKind.JOURNAL, legs=(Leg(A, 1),)), {A}),
        (command(OpenAccount, "o", account_id=A, currency="EUR"), {A}),
        (command(OpenAccount, "o", account_id=A, currency="USD"), {A, *system_account_ids("USD")}),
        (command(UpdateAccount, "u", account_id=B), {B}),
        (command(PlaceHold, "h", account_id=A, amount=1), {A}),
        (command(PlaceHold, "h", account_id=A, amount=1, destination_id=C), {A, C}),
        (command(CaptureHold, "c", hold_id=HOLD), {A, B}),
        (command(CaptureHold, "c", hold_id=HOLD, destination_id=C), {A, C}),
        (command(CaptureHold, "c", hold_id=OTHER_HOLD), {A, OUTSIDE}),
        (command(CaptureHold, "c", hold_id=C), set()),
        (command(ReleaseHold, "r", hold_id=HOLD), {A}),
        (command(ReleaseHold, "r", hold_id=C), set()),
        (command(Reverse, "x", transaction_id=C), set()),
    ],
)
def test_the_accounts_of_a_command_are_those_it_names_and_those_that_facts_tell(
    asked: Command, touched: set[UUID]
) -> None:
    assert accounts_of(asked, facts()) == touched


def test_a_capture_for_the_outside_world_of_an_unknown_currency_is_known_by_half() -> None:
    known = facts()
    known.currency_of.clear()
    assert accounts_of(command(CaptureHold, "c", hold_id=OTHER_HOLD), known) == {A}


def test_captures_and_releases_name_a_hold_and_reversals_a_target() -> None:
    hold_ids = [hold_of(command(cls, "c", hold_id=HOLD)) for cls in (CaptureHold, ReleaseHold)]
    assert hold_ids == [HOLD, HOLD]
    assert hold_of(deposit("d", A, 1)) is None
    assert target_of(command(Reverse, "r", transaction_id=C)) == C
    assert target_of(deposit("d", A, 1)) is None


def account(id_: UUID) -> Account:
    return Account(
        id_, "EUR", AccountKind.CUSTOMER, 0, 0, 0, 1, AccountStatus.OPEN, GENESIS, NOW, NOW
    )  # fmt: skip


def test_facts_are_learnt_from_a_book_and_forgotten_when_there_are_too_many() -> None:
    known = Facts(limit=1)
    hold = Hold(HOLD, A, B, 5, 0, HoldState.PENDING, None)
    known.learn(Book(accounts={A: account(A), B: account(B)}, holds={HOLD: hold}), [A, C])
    assert (dict(known.currency_of), dict(known.hold_parties)) == ({A: "EUR"}, {HOLD: (A, B)})
    known.learn(Book(accounts={B: account(B)}), [B])
    assert dict(known.currency_of) == {A: "EUR", B: "EUR"}, "at the limit nothing is forgotten yet"
    known.learn(Book(accounts={C: account(C)}), [C])
    assert dict(known.currency_of) == {C: "EUR"}


def test_a_book_and_its_copy_do_not_see_each_others_changes() -> None:
    book = Book(
        accounts={A: account(A)}, loaded={A}, currencies={"EUR"}, swept={A}, reversals={A: B}, keys_shared_until=NOW,
        enforce_floors=False,
    )  # fmt: skip
    copy = book.copy()
    assert copy == book
    for members in (copy.loaded, copy.currencies, copy.swept):
        members.clear()
    for pairs in (copy.accounts, copy.reversals):
        pairs.clear()
    assert (book.loaded, book.currencies, book.swept) == ({A}, {"EUR"}, {A})
    assert (set(book.accounts), book.reversals) == ({A}, {A: B})
