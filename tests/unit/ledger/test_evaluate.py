"""The rules of the ledger, tried with random commands against a model that knows nothing but addition."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chronicle_ledger.domain.account import Account, AccountKind, AccountStatus, system_account_ids
from chronicle_ledger.domain.amounts import BALANCE_LIMIT, MAX_AMOUNT, MAX_BALANCE, MIN_BALANCE, has_room
from chronicle_ledger.domain.audit import audit
from chronicle_ledger.domain.book import Book, NotLoaded
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
    fingerprint,
)
from chronicle_ledger.domain.errors import (
    AccountClosed,
    AccountExists,
    AccountFrozen,
    AccountNotEmpty,
    AccountNotFound,
    AlreadyReversed,
    AmountOutOfRange,
    BalanceOutOfRange,
    CaptureExceedsHold,
    CurrencyMismatch,
    DuplicateAccount,
    HoldNotFound,
    HoldNotPending,
    IdempotencyKeyReused,
    InsufficientFunds,
    LedgerError,
    NotReversible,
    TransactionNotFound,
    Unbalanced,
    VersionConflict,
)
from chronicle_ledger.domain.evaluate import check, evaluate
from chronicle_ledger.domain.hashing import ledger_head, recompute
from chronicle_ledger.domain.holds import as_placed, expire_ended
from chronicle_ledger.domain.transaction import Hold, HoldState, Transaction, TransactionKind

NOW = datetime(2026, 1, 31, 9, 0, tzinfo=UTC)
IDS = [uuid.uuid5(uuid.NAMESPACE_URL, f"account {i}") for i in range(4)]


class Ledger:
    """A book with everything loaded, and the transactions that were posted to it. `swept`: no hold of it is over."""

    def __init__(
        self,
        *,
        currencies: tuple[str, ...] = ("EUR", "EUR", "EUR", "EUR"),
        floor: int | None = 0,
        swept: bool = True,
    ) -> None:
        self.book = Book(
            loaded={*IDS, *system_account_ids("EUR"), *system_account_ids("USD")}, swept=set(IDS) if swept else set()
        )
        self.posted: list[Transaction] = []
        for index, currency in enumerate(currencies):
            self.post(OpenAccount, account_id=IDS[index], currency=currency, floor=floor)

    def post(self, cls: type[Command], *, now: datetime = NOW, **fields: Any) -> Transaction:
        """Evaluate a command as the engine does, and apply it."""
        command = cls(id=uuid.uuid4(), fingerprint=fingerprint(repr(fields).encode()), posted_by="tests", **fields)
        check(command)
        outcome = evaluate(self.book, command, now)
        self.book.apply(outcome)
        self.posted.append(outcome.transaction)
        if outcome.transaction.kind in (TransactionKind.TRANSFER, TransactionKind.CAPTURE, TransactionKind.HOLD):
            self.book.targets[outcome.transaction.id] = outcome.transaction
        return outcome.transaction

    def deposit(self, account: int, amount: int) -> Transaction:
        """Money from outside."""
        return self.post(PostEntries, kind=TransactionKind.DEPOSIT, legs=(Leg(IDS[account], amount),))

    def transfer(self, source: int, destination: int, amount: int, **fields: Any) -> Transaction:
        """Money from one to the other."""
        legs = (Leg(IDS[source], -amount), Leg(IDS[destination], amount))
        return self.post(PostEntries, kind=TransactionKind.TRANSFER, legs=legs, **fields)

    def account(self, index: int) -> Account:
        """An account as it is now."""
        return self.book.accounts[IDS[index]]


step = st.one_of(
    st.tuples(st.just("deposit"), st.integers(0, 3), st.integers(1, 500)),
    st.tuples(st.just("withdraw"), st.integers(0, 3), st.integers(1, 500)),
    st.tuples(st.just("transfer"), st.integers(0, 3), st.integers(0, 3), st.integers(1, 500)),
    st.tuples(st.just("hold"), st.integers(0, 3), st.integers(1, 500)),
    st.tuples(st.just("capture"), st.integers(0, 9), st.integers(1, 500)),
    st.tuples(st.just("release"), st.integers(0, 9)),
)


@settings(max_examples=150, deadline=None)
@given(steps=st.lists(step, max_size=40))
def test_random_commands_keep_the_books_sound_and_match_a_model(steps: list[tuple[Any, ...]]) -> None:
    ledger = Ledger()
    balances, held = [0] * 4, [0] * 4
    holds: list[tuple[uuid.UUID, int, int]] = []
    for name, *rest in steps:
        if name == "deposit":
            ledger.deposit(rest[0], rest[1])
            balances[rest[0]] += rest[1]
        elif name == "withdraw":
            account, amount = rest
            legs = (Leg(IDS[account], -amount),)
            if balances[account] - held[account] >= amount:
                ledger.post(PostEntries, kind=TransactionKind.WITHDRAWAL, legs=legs)
                balances[account] -= amount
            else:
                with pytest.raises(InsufficientFunds):
                    ledger.post(PostEntries, kind=TransactionKind.WITHDRAWAL, legs=legs)
        elif name == "transfer":
            source, destination, amount = rest
            if source == destination:
                with pytest.raises(DuplicateAccount):
                    ledger.transfer(source, destination, amount)
            elif balances[source] - held[source] >= amount:
                ledger.transfer(source, destination, amount)
                balances[source] -= amount
                balances[destination] += amount
            else:
                with pytest.raises(InsufficientFunds):
                    ledger.transfer(source, destination, amount)
        elif name == "hold":
            account, amount = rest
            if balances[account] - held[account] >= amount:
                holds.append((ledger.post(PlaceHold, account_id=IDS[account], amount=amount).id, account, amount))
                held[account] += amount
            else:
                with pytest.raises(InsufficientFunds):
                    ledger.post(PlaceHold, account_id=IDS[account], amount=amount)
        elif holds:
            hold_id, account, amount = holds.pop(rest[0] % len(holds))
            taken = min(amount, rest[1]) if name == "capture" else 0
            if taken:
                ledger.post(CaptureHold, hold_id=hold_id, amount=taken)
            else:
                ledger.post(ReleaseHold, hold_id=hold_id)
            balances[account] -= taken
            held[account] -= amount
        assert audit(ledger.book.accounts, ledger.posted) == []
    assert [ledger.account(i).balance for i in range(4)] == balances
    assert [ledger.account(i).held for i in range(4)] == held
    assert sum(account.balance for account in ledger.book.accounts.values()) == 0


@pytest.mark.parametrize("field", ["kind", "posted_at", "posted_by", "metadata", "fingerprint", "id", "entries"])
def test_a_transaction_changed_in_any_field_no_longer_has_its_hash(field: str) -> None:
    ledger = Ledger()
    ledger.deposit(0, 100)
    posted = ledger.transfer(0, 1, 10)
    changed: dict[str, Any] = {
        "kind": TransactionKind.JOURNAL,
        "posted_at": posted.posted_at + timedelta(microseconds=1),
        "posted_by": None,
        "metadata": {"note": "never said"},
        "fingerprint": bytes(32),
        "id": uuid.uuid4(),
        "entries": (replace(posted.entries[0], balance_after=posted.entries[0].balance_after + 1), *posted.entries[1:]),
    }
    assert recompute(posted) == posted.hash
    tampered = replace(posted, **{field: changed[field]})
    assert recompute(tampered) != posted.hash


def test_the_audit_locates_each_kind_of_fault() -> None:
    ledger = Ledger()
    ledger.deposit(0, 100)
    middle = ledger.transfer(0, 1, 10)
    ledger.transfer(0, 1, 20)
    accounts, posted = ledger.book.accounts, ledger.posted
    assert {f.rule for f in audit(accounts, [t for t in posted if t is not middle])} >= {"dense", "chain"}
    poor = {**accounts, IDS[0]: replace(accounts[IDS[0]], floor=1000)}
    assert {f.rule for f in audit(poor, posted)} == {"floor"}
    moved = {**accounts, IDS[0]: replace(accounts[IDS[0]], balance=71)}
    assert {f.rule for f in audit(moved, posted)} == {"state"}
    other = {**accounts, IDS[0]: replace(accounts[IDS[0]], head=bytes(32))}
    assert {f.rule for f in audit(other, posted)} == {"head"}
    lopsided = replace(middle, entries=(replace(middle.entries[0], amount=5), *middle.entries[1:]))
    found = audit(accounts, [lopsided if t is middle else t for t in posted])
    assert {f.rule for f in found} >= {"balanced", "running", "chain"}
    without = {id_: account for id_, account in accounts.items() if id_ != IDS[0]}
    assert "state" in {f.rule for f in audit(without, posted)}


def test_the_head_of_the_ledger_changes_with_any_account_and_not_with_their_order() -> None:
    heads = [(IDS[0], b"a" * 32), (IDS[1], b"b" * 32)]
    assert ledger_head(heads) == ledger_head(reversed(heads))
    assert ledger_head(heads) != ledger_head([(IDS[0], b"a" * 32), (IDS[1], b"c" * 32)])


def test_time_never_runs_backwards_on_an_account() -> None:
    ledger = Ledger()
    later = NOW + timedelta(hours=1)
    ledger.post(PostEntries, kind=TransactionKind.DEPOSIT, legs=(Leg(IDS[0], 5),), now=later)
    assert ledger.transfer(0, 1, 5).posted_at == later


def test_a_key_belongs_to_its_first_request() -> None:
    ledger = Ledger()
    posted = ledger.deposit(0, 1)
    again = Command(id=posted.id, fingerprint=posted.fingerprint, posted_by="tests")
    assert ledger.book.replay(again) is posted
    with pytest.raises(IdempotencyKeyReused):
        ledger.book.replay(replace(again, fingerprint=b"other"))


@pytest.mark.parametrize(
    ("posted_by", "shared", "met"),
    [(None, True, True), ("tests", True, True), ("another", True, False), (None, False, False)],
)
def test_a_former_id_is_the_callers_where_its_poster_is_unknown_or_the_same(
    posted_by: str | None, *, shared: bool, met: bool
) -> None:
    ledger = Ledger()
    posted = replace(ledger.deposit(0, 1), posted_by=posted_by)
    ledger.book.transactions[posted.id] = posted
    ledger.book.keys_shared_until = NOW if shared else None
    asked = Command(id=uuid.uuid4(), former_id=posted.id, fingerprint=posted.fingerprint, posted_by="tests")
    assert ledger.book.replay(asked) == (posted if met else None)
    assert ledger.book.identified(asked, NOW - timedelta(1)) is asked, "its former id is taken"


def test_a_new_transaction_has_the_former_id_until_keys_cease_to_be_shared() -> None:
    book = Book(keys_shared_until=NOW)
    asked = Command(id=IDS[0], former_id=IDS[1], fingerprint=b"", posted_by="tests")
    assert book.identified(asked, NOW - timedelta(microseconds=1)) == replace(asked, id=IDS[1], former_id=None)
    assert book.copy().identified(asked, NOW) is asked
    assert Book().identified(asked, NOW) is asked


def test_journals_balance_in_each_currency() -> None:
    ledger = Ledger(currencies=("EUR", "EUR", "USD", "USD"), floor=None)
    legs = (Leg(IDS[0], -5), Leg(IDS[1], 5), Leg(IDS[2], 7, "USD"), Leg(IDS[3], -7))
    assert len(ledger.post(PostEntries, kind=TransactionKind.JOURNAL, legs=legs).entries) == 4
    with pytest.raises(Unbalanced) as refused:
        ledger.post(PostEntries, kind=TransactionKind.JOURNAL, legs=(*legs[:3], Leg(IDS[3], -6)))
    assert refused.value.figures == {"currency": "USD", "sum": 1}
    with pytest.raises(CurrencyMismatch):
        ledger.transfer(0, 2, 5)
    with pytest.raises(CurrencyMismatch, match=rf"^Account {IDS[0]} is in EUR, not USD\.$"):
        ledger.post(PostEntries, kind=TransactionKind.JOURNAL, legs=(Leg(IDS[0], -5, "USD"), Leg(IDS[1], 5)))


@pytest.mark.parametrize("amount", [0, MAX_AMOUNT + 1, -MAX_AMOUNT - 1])
def test_amounts_out_of_range_are_refused(amount: int) -> None:
    with pytest.raises(AmountOutOfRange):
        Ledger(floor=None).post(
            PostEntries, kind=TransactionKind.TRANSFER, legs=(Leg(IDS[0], amount), Leg(IDS[1], -amount))
        )
    with pytest.raises(AmountOutOfRange):
        Ledger().post(PlaceHold, account_id=IDS[0], amount=amount)


def test_a_balance_stays_within_its_limit_and_the_way_back_is_open() -> None:
    ledger = Ledger(floor=None)
    ledger.book.accounts[IDS[0]] = replace(ledger.account(0), balance=BALANCE_LIMIT - 1)
    ledger.transfer(1, 0, 1)
    with pytest.raises(BalanceOutOfRange) as refused:
        ledger.transfer(1, 0, 1)
    assert refused.value.figures == {"account_id": str(IDS[0]), "limit": BALANCE_LIMIT}
    ledger.book.accounts[IDS[2]] = replace(ledger.account(2), balance=MIN_BALANCE)
    with pytest.raises(BalanceOutOfRange):
        ledger.transfer(2, 3, 1)
    ledger.transfer(0, 2, 1)
    assert (ledger.account(0).balance, ledger.account(2).balance) == (BALANCE_LIMIT - 1, MIN_BALANCE + 1)


def test_what_is_held_and_what_is_available_stay_64_bit_integers() -> None:
    ledger = Ledger(floor=None)
    for _ in range(1024):
        ledger.post(PlaceHold, account_id=IDS[0], amount=MAX_AMOUNT)
    with pytest.raises(BalanceOutOfRange):
        ledger.post(PlaceHold, account_id=IDS[0], amount=MAX_AMOUNT)
    ledger.post(PlaceHold, account_id=IDS[0], amount=1023)
    assert ledger.account(0).held == MAX_BALANCE
    ledger.transfer(0, 1, 1)
    assert ledger.account(0).available == MIN_BALANCE
    with pytest.raises(BalanceOutOfRange):
        ledger.transfer(0, 1, 1)
    ledger.transfer(1, 0, 1)
    assert audit(ledger.book.accounts, ledger.posted) == []


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_deposits_of_any_number_and_size_leave_every_outside_account_within_the_limit(data: st.DataObject) -> None:
    ledger = Ledger(floor=None)
    outside = system_account_ids("EUR")
    for id_ in outside:
        filled = data.draw(st.sampled_from([0, -BALANCE_LIMIT, -BALANCE_LIMIT + MAX_AMOUNT, BALANCE_LIMIT]))
        ledger.book.accounts[id_] = replace(ledger.book.accounts[id_], balance=filled)
    before = sum(account.balance for account in ledger.book.accounts.values())
    room = sum((ledger.book.accounts[id_].balance + BALANCE_LIMIT) // MAX_AMOUNT for id_ in outside)
    for number in range(12):
        if number < room:
            ledger.deposit(number % 4, MAX_AMOUNT)
        else:
            with pytest.raises(BalanceOutOfRange):
                ledger.deposit(number % 4, MAX_AMOUNT)
    assert all(abs(ledger.book.accounts[id_].balance) <= BALANCE_LIMIT for id_ in outside)
    assert sum(account.balance for account in ledger.book.accounts.values()) == before


def test_money_comes_from_the_outside_account_that_faces_the_customer_while_that_has_room() -> None:
    ledger = Ledger()
    facing = system_account_ids("EUR")[IDS[0].int % 8]
    assert {e.account_id for e in ledger.deposit(0, 5).entries} == {IDS[0], facing}
    ledger.book.accounts[facing] = replace(ledger.book.accounts[facing], balance=-BALANCE_LIMIT)
    following = system_account_ids("EUR")[(IDS[0].int + 1) % 8]
    assert {e.account_id for e in ledger.deposit(0, 5).entries} == {IDS[0], following}
    ledger.book.accounts[facing] = replace(ledger.book.accounts[facing], balance=BALANCE_LIMIT)
    hold = ledger.post(PlaceHold, account_id=IDS[0], amount=5)
    assert {e.account_id for e in ledger.post(CaptureHold, hold_id=hold.id).entries} == {IDS[0], following}


@pytest.mark.parametrize("status", [AccountStatus.FROZEN, AccountStatus.CLOSED])
def test_frozen_and_closed_accounts_take_no_holds(status: AccountStatus) -> None:
    ledger = Ledger(floor=None)
    ledger.post(UpdateAccount, account_id=IDS[0], status=status)
    with pytest.raises((AccountFrozen, AccountClosed)) as refused:
        ledger.post(PlaceHold, account_id=IDS[0], amount=1)
    assert refused.value.code == f"account_{status.value}"


def test_what_changes_an_account_later_in_its_batch_leaves_its_beginning_as_it_was() -> None:
    ledger = Ledger()
    later = NOW + timedelta(seconds=1)
    ledger.post(UpdateAccount, account_id=IDS[0], account_metadata={"a": 1}, now=later)
    account = ledger.account(0)
    assert (account.created_at, account.updated_at) == (NOW, later)


def test_an_account_that_was_not_looked_for_cannot_be_opened_blindly() -> None:
    ledger = Ledger(currencies=())
    ledger.book.loaded.discard(IDS[0])
    with pytest.raises(NotLoaded) as missing:
        ledger.post(OpenAccount, account_id=IDS[0], currency="EUR")
    assert missing.value.account_ids == {IDS[0]}


def test_a_hold_ends_counted_from_the_moment_of_its_posting() -> None:
    ledger = Ledger()
    later = NOW + timedelta(seconds=30)
    ledger.post(PostEntries, kind=TransactionKind.DEPOSIT, legs=(Leg(IDS[0], 10),), now=later)
    hold = ledger.post(PlaceHold, account_id=IDS[0], amount=1, lasts=timedelta(seconds=60))
    assert hold.posted_at == later
    assert as_placed(hold) == ledger.book.holds[hold.id]
    assert ledger.book.holds[hold.id] == Hold(
        hold.id, IDS[0], None, 1, 0, HoldState.PENDING, later + timedelta(seconds=60)
    )
    assert ledger.book.holds[hold.id].expires_at == later + timedelta(seconds=60)
    assert hold.details["expires_at"] == "2026-01-31T09:01:30.000000Z"
    with pytest.raises(HoldNotPending):
        ledger.post(CaptureHold, hold_id=hold.id, now=later + timedelta(seconds=60))
    ledger.post(CaptureHold, hold_id=hold.id, now=later + timedelta(seconds=59))


@pytest.mark.parametrize(
    ("cls", "fields"),
    [
        (PostEntries, {"kind": TransactionKind.WITHDRAWAL, "legs": (Leg(IDS[0], -60),)}),
        (PlaceHold, {"account_id": IDS[0], "amount": 60}),
        (UpdateAccount, {"account_id": IDS[0], "floor": 60}),
    ],
)
def test_a_hold_that_is_over_is_looked_for_where_it_decides_and_no_longer_counts(
    cls: type[Command], fields: dict[str, Any]
) -> None:
    ledger = Ledger(swept=False)
    ledger.deposit(0, 100)
    over = ledger.post(PlaceHold, account_id=IDS[0], amount=50, lasts=timedelta(seconds=5))
    ledger.post(PlaceHold, account_id=IDS[0], amount=20, lasts=timedelta(seconds=15))
    ledger.transfer(0, 1, 1)
    ledger.transfer(1, 0, 1)
    later = NOW + timedelta(seconds=10)
    with pytest.raises(NotLoaded) as missing:
        ledger.post(cls, now=later, **fields)
    assert missing.value.ended_on == {IDS[0]}
    expired = expire_ended(ledger.book, list(ledger.book.holds.values()), later)
    ledger.book.swept.add(IDS[0])
    assert [(o.transaction.hold_id, o.transaction.posted_by) for o in expired] == [(over.id, "chronicle")]
    ledger.posted.extend(outcome.transaction for outcome in expired)
    ledger.post(cls, now=later, **fields)
    with pytest.raises(InsufficientFunds):
        ledger.post(PostEntries, kind=TransactionKind.WITHDRAWAL, legs=(Leg(IDS[0], -81),), now=later)
    assert audit(ledger.book.accounts, ledger.posted) == []
    assert expire_ended(ledger.book, list(ledger.book.holds.values()), later) == []


def test_an_account_with_nothing_but_a_hold_that_is_over_can_be_closed() -> None:
    ledger = Ledger(floor=None, swept=False)
    ledger.post(PlaceHold, account_id=IDS[0], amount=50, lasts=timedelta(seconds=5))
    later = NOW + timedelta(seconds=5)
    with pytest.raises(NotLoaded):
        ledger.post(UpdateAccount, account_id=IDS[0], status=AccountStatus.CLOSED, now=later)
    expire_ended(ledger.book, list(ledger.book.holds.values()), later)
    ledger.post(UpdateAccount, account_id=IDS[0], status=AccountStatus.CLOSED, now=later)
    assert ledger.account(0).status is AccountStatus.CLOSED


def test_one_entry_alone_is_no_transaction() -> None:
    with pytest.raises(Unbalanced):
        Ledger().post(PostEntries, kind=TransactionKind.JOURNAL, legs=(Leg(IDS[0], 5),))


def test_frozen_and_closed_accounts_take_no_postings() -> None:
    ledger = Ledger()
    ledger.deposit(0, 10)
    ledger.post(UpdateAccount, account_id=IDS[0], status=AccountStatus.FROZEN)
    with pytest.raises(AccountFrozen):
        ledger.transfer(0, 1, 1)
    with pytest.raises(AccountNotEmpty):
        ledger.post(UpdateAccount, account_id=IDS[0], status=AccountStatus.CLOSED)
    ledger.post(UpdateAccount, account_id=IDS[2], status=AccountStatus.CLOSED)
    with pytest.raises(AccountClosed):
        ledger.deposit(2, 1)
    with pytest.raises(AccountClosed):
        ledger.post(UpdateAccount, account_id=IDS[2], status=AccountStatus.OPEN)


def test_an_update_is_a_version_that_moves_no_money_and_says_what_it_set() -> None:
    ledger = Ledger()
    ledger.deposit(0, 10)
    before = ledger.account(0)
    posted = ledger.post(UpdateAccount, account_id=IDS[0], floor=10, account_metadata={"name": "x"})
    assert posted.details == {"account_id": str(IDS[0]), "floor": 10, "metadata": {"name": "x"}}
    assert [(e.amount, e.held, e.version) for e in posted.entries] == [(0, 0, before.version + 1)]
    with pytest.raises(InsufficientFunds):
        ledger.post(UpdateAccount, account_id=IDS[0], floor=11)
    assert ledger.account(0).floor == 10


def test_an_account_is_opened_once_with_the_outside_world_of_its_currency() -> None:
    ledger = Ledger()
    opened = ledger.posted[0]
    assert len(opened.entries) == 9
    assert {ledger.book.accounts[e.account_id].kind for e in opened.entries} == {
        AccountKind.CUSTOMER,
        AccountKind.SYSTEM,
    }
    assert len(ledger.posted[1].entries) == 1
    with pytest.raises(AccountExists):
        ledger.post(OpenAccount, account_id=IDS[0], currency="EUR")
    with pytest.raises(InsufficientFunds):
        Ledger(currencies=(), floor=0).post(OpenAccount, account_id=IDS[0], currency="EUR", floor=1)


def test_a_hold_ends_once() -> None:
    ledger = Ledger()
    ledger.deposit(0, 100)
    hold = ledger.post(PlaceHold, account_id=IDS[0], amount=50, destination_id=IDS[1], lasts=timedelta(1))
    with pytest.raises(CaptureExceedsHold):
        ledger.post(CaptureHold, hold_id=hold.id, amount=51)
    with pytest.raises(HoldNotPending):
        ledger.post(ReleaseHold, hold_id=hold.id, expired=True)
    with pytest.raises(HoldNotPending):
        ledger.post(CaptureHold, hold_id=hold.id, now=NOW + timedelta(2))
    with pytest.raises(DuplicateAccount):
        ledger.post(CaptureHold, hold_id=hold.id, destination_id=IDS[0])
    ledger.post(UpdateAccount, account_id=IDS[0], status=AccountStatus.FROZEN)
    with pytest.raises(AccountFrozen):
        ledger.post(ReleaseHold, hold_id=hold.id)
    expiry = ledger.post(ReleaseHold, hold_id=hold.id, expired=True, now=NOW + timedelta(2))
    assert (expiry.kind, ledger.book.holds[hold.id].state) == (TransactionKind.EXPIRY, HoldState.EXPIRED)
    assert ledger.account(0).held == 0
    with pytest.raises(HoldNotPending):
        ledger.post(CaptureHold, hold_id=hold.id)
    with pytest.raises(HoldNotFound):
        ledger.post(CaptureHold, hold_id=uuid.uuid4())


def test_a_capture_goes_to_the_holds_destination_and_can_be_reversed() -> None:
    ledger = Ledger()
    ledger.deposit(0, 100)
    hold = ledger.post(PlaceHold, account_id=IDS[0], amount=50, destination_id=IDS[1])
    capture = ledger.post(CaptureHold, hold_id=hold.id, amount=20)
    assert (ledger.account(0).balance, ledger.account(1).balance) == (80, 20)
    ledger.post(Reverse, transaction_id=capture.id)
    assert (ledger.account(0).balance, ledger.account(1).balance) == (100, 0)
    with pytest.raises(NotReversible):
        ledger.post(Reverse, transaction_id=hold.id)


def test_a_reversal_happens_once_and_respects_floors() -> None:
    ledger = Ledger()
    ledger.deposit(0, 10)
    posted = ledger.transfer(0, 1, 10)
    ledger.transfer(1, 2, 5)
    with pytest.raises(InsufficientFunds):
        ledger.post(Reverse, transaction_id=posted.id)
    ledger.transfer(2, 1, 5)
    assert ledger.post(Reverse, transaction_id=posted.id).reverses == posted.id
    with pytest.raises(AlreadyReversed):
        ledger.post(Reverse, transaction_id=posted.id)
    with pytest.raises(TransactionNotFound):
        ledger.post(Reverse, transaction_id=uuid.uuid4())


@pytest.mark.parametrize("ended_by", [CaptureHold, ReleaseHold, Reverse])
def test_whether_a_hold_or_a_transaction_is_over_is_judged_under_the_lock_of_its_account_alone(
    ended_by: type[Command],
) -> None:
    # Read without it, the hold may have been ended by this very command, which another replica has just posted.
    ledger = Ledger()
    ledger.deposit(0, 10)
    if ended_by is Reverse:
        fields: dict[str, Any] = {"transaction_id": ledger.transfer(0, 1, 10).id}
    else:
        fields = {"hold_id": ledger.post(PlaceHold, account_id=IDS[0], amount=5).id}
    ledger.post(ended_by, **fields)
    unlocked = ledger.book.accounts.pop(IDS[0])
    ledger.book.loaded.discard(IDS[0])
    with pytest.raises(NotLoaded) as missing:
        ledger.post(ended_by, **fields)
    assert missing.value.account_ids == {IDS[0]}
    ledger.book.accounts[IDS[0]] = unlocked
    with pytest.raises((HoldNotPending, AlreadyReversed)):
        ledger.post(ended_by, **fields)


def test_the_largest_amount_is_taken_either_way() -> None:
    ledger = Ledger(floor=None)
    ledger.transfer(0, 1, MAX_AMOUNT)
    assert (ledger.account(0).balance, ledger.account(1).balance) == (-MAX_AMOUNT, MAX_AMOUNT)
    with pytest.raises(AmountOutOfRange):
        ledger.transfer(0, 1, MAX_AMOUNT + 1)


@pytest.mark.parametrize(
    ("balance", "amount", "room"),
    [
        (BALANCE_LIMIT - 1, 1, True), (BALANCE_LIMIT, 1, False), (1 - BALANCE_LIMIT, -1, True),
        (-BALANCE_LIMIT, -1, False), (-BALANCE_LIMIT - 5, 1, True),
    ],
)  # fmt: skip
def test_an_account_has_room_up_to_the_limit_itself_and_always_for_the_way_back(
    balance: int, amount: int, room: bool
) -> None:
    assert has_room(balance, amount) is room


def test_a_hold_may_say_its_currency_which_is_that_of_its_account() -> None:
    ledger = Ledger()
    ledger.deposit(0, 10)
    ledger.post(PlaceHold, account_id=IDS[0], amount=5, currency="EUR")
    with pytest.raises(CurrencyMismatch, match="is in EUR, not USD"):
        ledger.post(PlaceHold, account_id=IDS[0], amount=5, currency="USD")
    assert ledger.account(0).held == 5


def test_a_deposit_that_names_both_sides_keeps_them() -> None:
    ledger = Ledger(floor=None)
    legs = (Leg(IDS[0], 5), Leg(IDS[1], -5))
    posted = ledger.post(PostEntries, kind=TransactionKind.DEPOSIT, legs=legs)
    assert {it.account_id: it.amount for it in posted.entries} == {IDS[0]: 5, IDS[1]: -5}


def test_a_refusal_names_the_account_that_is_missing() -> None:
    ledger = Ledger()
    ledger.book.loaded.add(stranger := uuid.uuid4())
    with pytest.raises(AccountNotFound, match=rf"^There is no account {stranger}\.$"):
        ledger.post(PlaceHold, account_id=stranger, amount=5)


def test_an_expected_version_must_be_the_version() -> None:
    ledger = Ledger()
    ledger.deposit(0, 10)
    with pytest.raises(VersionConflict):
        ledger.transfer(0, 1, 1, expected_versions={IDS[0]: 1})
    ledger.transfer(0, 1, 1, expected_versions={IDS[0]: 2})


def test_an_account_that_was_not_loaded_is_asked_for_and_one_that_is_missing_is_refused() -> None:
    ledger = Ledger()
    stranger = uuid.uuid4()
    legs = (Leg(IDS[0], -1), Leg(stranger, 1))
    with pytest.raises(NotLoaded):
        ledger.post(PostEntries, kind=TransactionKind.TRANSFER, legs=legs)
    ledger.book.loaded.add(stranger)
    with pytest.raises(AccountNotFound):
        ledger.post(PostEntries, kind=TransactionKind.TRANSFER, legs=legs)


@given(amount=st.integers(1, 1000), floor=st.integers(-1000, 0))
@settings(max_examples=50, deadline=None)
def test_a_refused_command_leaves_the_book_as_it_was(amount: int, floor: int) -> None:
    ledger = Ledger(floor=floor)
    before = dict(ledger.book.accounts)
    try:
        ledger.transfer(0, 1, amount)
    except LedgerError:
        assert ledger.book.accounts == before
        assert amount > -floor
    else:
        assert ledger.account(0).balance == -amount >= floor


@pytest.mark.parametrize("kind", ["transfer", "reversal", "update", "hold", "capture", "release"])
def test_every_command_on_an_account_heeds_the_version_that_its_caller_expects(kind: str) -> None:
    ledger = Ledger()
    ledger.deposit(0, 100)
    moved = ledger.transfer(0, 1, 10)
    hold = ledger.post(PlaceHold, account_id=IDS[0], amount=10)
    legs = (Leg(IDS[0], -1), Leg(IDS[1], 1))
    commands: dict[str, tuple[type[Command], dict[str, Any]]] = {
        "transfer": (PostEntries, {"kind": TransactionKind.TRANSFER, "legs": legs}),
        "reversal": (Reverse, {"transaction_id": moved.id}),
        "update": (UpdateAccount, {"account_id": IDS[0], "floor": 1}),
        "hold": (PlaceHold, {"account_id": IDS[0], "amount": 1}),
        "capture": (CaptureHold, {"hold_id": hold.id}),
        "release": (ReleaseHold, {"hold_id": hold.id}),
    }
    cls, fields = commands[kind]
    version = ledger.account(0).version
    with pytest.raises(VersionConflict) as refused:
        ledger.post(cls, expected_versions={IDS[0]: version - 1}, **fields)
    assert refused.value.figures == {
        "account_id": str(IDS[0]),
        "expected_version": version - 1,
        "version": version,
    }
    ledger.post(cls, expected_versions={IDS[0]: version}, **fields)
