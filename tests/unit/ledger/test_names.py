"""Names, ids and messages that are stored or sent: a change of any would part a ledger from its own past."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest

from chronicle_ledger.domain.account import AccountKind, AccountStatus, system_account_id, system_account_ids
from chronicle_ledger.domain.amounts import MAX_AMOUNT, require_amount
from chronicle_ledger.domain.canonical import canonical_json, timestamp
from chronicle_ledger.domain.commands import ANYONE, CHRONICLE, fingerprint, shared_transaction_id, transaction_id
from chronicle_ledger.domain.errors import AmountOutOfRange, LedgerError
from chronicle_ledger.domain.holds import expiry_of
from chronicle_ledger.domain.payload import payload_of, shard_of
from chronicle_ledger.domain.transaction import Entry, HoldState, Transaction, TransactionKind
from chronicle_ledger.web.problems import CATALOGUE

POSTED = Transaction(
    id=UUID(int=35),
    fingerprint=bytes(range(32)),
    kind=TransactionKind.CAPTURE,
    entries=(Entry(UUID(int=1), "EUR", 3, -10, -12, 90, 4), Entry(UUID(int=2), "EUR", 2, 10, 0, 10, 0)),
    effective_at=datetime(2026, 1, 30, tzinfo=UTC),
    posted_at=datetime(2026, 1, 31, 9, tzinfo=UTC),
    hash=bytes(range(32, 64)),
    metadata={"note": "ü"},
    details={"amount": 10},
    reverses=UUID(int=8),
    hold_id=UUID(int=9),
    posted_by="billing",
)


def test_ids_follow_from_what_they_stand_for_as_they_always_did() -> None:
    assert transaction_id("t", "s", "POST", "/p", "k") == UUID("b352a71f-ab40-538e-b944-9f787b12b003")
    assert shared_transaction_id("t", "POST", "/p", "k") == UUID("39ae4c4f-1316-504d-877d-219c1ecf3f59")
    assert expiry_of(UUID(int=5)).id == UUID("ffa51493-7024-59c5-a4f3-deb829b28025")
    assert expiry_of(UUID(int=5)).fingerprint == fingerprint(b"expiry")
    assert expiry_of(UUID(int=5)).posted_by == CHRONICLE == "chronicle"
    assert ANYONE == "anyone"
    ids = system_account_ids("EUR")
    assert (ids[0], ids[7], len(ids)) == (
        UUID("4de858a9-ccc1-5167-b8a0-e73b5e4498e8"),
        UUID("22d42f12-f758-54ab-83bf-66ba9c3879c5"),
        8,
    )
    assert [system_account_id("EUR", UUID(int=number)) for number in range(16)] == [*ids, *ids]


def test_the_words_that_are_stored_stay_what_they_are() -> None:
    assert [kind.value for kind in TransactionKind] == [
        "account_opened", "account_updated", "transfer", "deposit", "withdrawal", "journal", "hold", "capture",
        "release", "expiry", "reversal",
    ]  # fmt: skip
    assert [state.value for state in HoldState] == ["pending", "captured", "released", "expired"]
    assert [status.value for status in AccountStatus] == ["open", "frozen", "closed"]
    assert [kind.value for kind in AccountKind] == ["customer", "system"]


def test_every_refusal_has_a_code_of_the_catalogue_and_of_its_own() -> None:
    def below(parent: type[LedgerError]) -> list[type[LedgerError]]:
        return [found for child in parent.__subclasses__() for found in (child, *below(child))]

    own = [cls for cls in below(LedgerError) if cls.__module__.startswith("chronicle_ledger.")]  # tests have theirs
    codes = [cls.code for cls in own if "code" in vars(cls)]
    assert len(codes) > 20
    assert len(codes) == len(set(codes))
    assert {*codes, LedgerError.code} <= set(CATALOGUE)


def test_a_message_has_these_members_and_no_others() -> None:
    whole = {
        "schema": 1,
        "id": str(UUID(int=35)),
        "kind": "capture",
        "posted_at": "2026-01-31T09:00:00.000000Z",
        "effective_at": "2026-01-30T00:00:00.000000Z",
        "posted_by": "billing",
        "metadata": {"note": "ü"},
        "details": {"amount": 10},
        "reverses": str(UUID(int=8)),
        "hold_id": str(UUID(int=9)),
        "hash": bytes(range(32, 64)).hex(),
        "fingerprint": bytes(range(32)).hex(),
        "entries": [
            {
                "account_id": str(UUID(int=1)), "currency": "EUR", "version": 3, "amount": -10, "held": -12,
                "balance_after": 90, "held_after": 4,
            },
            {
                "account_id": str(UUID(int=2)), "currency": "EUR", "version": 2, "amount": 10, "held": 0,
                "balance_after": 10, "held_after": 0,
            },
        ],
    }  # fmt: skip
    assert json.loads(payload_of(POSTED)) == whole
    assert list(json.loads(payload_of(POSTED))) == list(whole)
    bare = json.loads(payload_of(replace(POSTED, reverses=None, hold_id=None)))
    assert (bare["reverses"], bare["hold_id"]) == (None, None)


def test_a_transactions_shard_is_decided_by_its_id() -> None:
    assert [shard_of(replace(POSTED, id=UUID(int=number))) for number in (0, 15, 16, 35)] == [0, 15, 0, 3]


def test_values_have_one_spelling() -> None:
    assert canonical_json({"b": 1, "a": ["ü", None]}) == '{"a":["\\u00fc",null],"b":1}'
    assert canonical_json({}) == "{}"
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json({"a": float("nan")})
    east = timezone(timedelta(hours=2))
    assert timestamp(datetime(2026, 1, 31, 11, tzinfo=east)) == "2026-01-31T09:00:00.000000Z"


@pytest.mark.parametrize(("amount", "right"), [(0, False), (-1, False), (1, True), (MAX_AMOUNT, True), (2**53, False)])
def test_an_amount_is_from_1_to_the_largest_that_json_keeps(amount: int, *, right: bool) -> None:
    if right:
        require_amount(amount)
        return
    with pytest.raises(AmountOutOfRange) as refused:
        require_amount(amount)
    assert refused.value.figures == {"amount": amount}
