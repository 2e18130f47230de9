"""A ledger on paper and backups of it, without a database: for tests of the format."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID, uuid5

import obstore
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from obstore.store import MemoryStore

from chronicle_ledger.backup import lines, manifest
from chronicle_ledger.backup.cipher import Cipher
from chronicle_ledger.backup.destination import Destination
from chronicle_ledger.backup.history import History
from chronicle_ledger.backup.manifest import Encryption, LastSeal, Link, Manifest, Source
from chronicle_ledger.backup.segments import Packer
from chronicle_ledger.domain.account import AccountStatus, system_account_ids
from chronicle_ledger.domain.book import Book
from chronicle_ledger.domain.canonical import timestamp
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
from chronicle_ledger.domain.errors import LedgerError
from chronicle_ledger.domain.evaluate import check, evaluate
from chronicle_ledger.domain.payload import payload_of
from chronicle_ledger.domain.transaction import Transaction, TransactionKind
from chronicle_ledger.seals import Seal, SealedAccount
from chronicle_ledger.seals.document import Rows
from chronicle_ledger.seals.document import sign as sign_seal

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key().public_bytes_raw().hex()
START = datetime(2026, 1, 31, 9, tzinfo=UTC)
NAMES = UUID("c7c7f0f4-34f7-5a34-8f43-8c5b7b1b7c55")


class PaperLedger:
    """A few accounts and what was posted to them, by seeded chance; several postings share a moment."""

    def __init__(self, seed: int = 1, accounts: int = 4) -> None:
        self.random = Random(seed)
        self.accounts = [uuid5(NAMES, f"{seed}/{number}") for number in range(accounts)]
        known = {*self.accounts, *system_account_ids("EUR")}
        self.book = Book(loaded=known, swept=known)
        self.posted: list[Transaction] = []
        self.now = START
        self._seed = seed
        for account in self.accounts:
            self._post(OpenAccount, account_id=account, currency="EUR", floor=0)

    def _post(self, cls: type[Command], **fields: Any) -> None:
        id_ = uuid5(NAMES, f"{self._seed}/{len(self.posted)}/{self.random.random()}")
        command = cls(id=id_, fingerprint=fingerprint(repr(fields).encode()), posted_by="ü", **fields)
        try:
            check(command)
            outcome = evaluate(self.book, command, self.now)
        except LedgerError:
            return
        self.book.apply(outcome)
        self.book.targets[id_] = outcome.transaction
        self.posted.append(outcome.transaction)

    def post(self, count: int) -> list[Transaction]:
        """Try `count` commands of all kinds; return what was posted."""
        before = len(self.posted)
        for _ in range(count):
            one, other = self.random.sample(self.accounts, 2)
            amount = self.random.randint(1, 200)
            holds = list(self.book.holds) or [UUID(int=0)]
            chosen = self.random.randrange(8)
            if chosen <= 2:
                legs: tuple[Leg, ...] = (Leg(one, amount),)
                self._post(PostEntries, kind=TransactionKind.DEPOSIT, legs=legs, metadata={"note": "für Ü\n", "n": 1})
            elif chosen == 3:
                legs = (Leg(one, -amount), Leg(other, amount))
                self._post(PostEntries, kind=TransactionKind.TRANSFER, legs=legs)
            elif chosen == 4:
                self._post(PlaceHold, account_id=one, amount=amount, lasts=timedelta(days=1))
            elif chosen == 5:
                self._post(CaptureHold, hold_id=self.random.choice(holds), destination_id=other)
            elif chosen == 6:
                self._post(ReleaseHold, hold_id=self.random.choice(holds))
            elif self.random.random() < 0.5:
                self._post(Reverse, transaction_id=self.random.choice(self.posted).id)
            else:
                status = self.random.choice([AccountStatus.OPEN, AccountStatus.OPEN, AccountStatus.FROZEN])
                self._post(UpdateAccount, account_id=one, status=status, account_metadata={"x": amount})
            if self.random.random() < 0.5:
                self.now += timedelta(microseconds=1)
        return self.posted[before:]


def in_memory() -> Destination:
    """A destination in this process."""
    return Destination(MemoryStore(), "memory://backups")


def store_of(destination: Destination) -> Any:
    """The store behind a destination, to damage what is in it."""
    return destination._store


def stored(destination: Destination, path: str) -> bytes:
    """The bytes of a file."""
    return bytes(obstore.get(store_of(destination), path).bytes())


def damage(destination: Destination, path: str, data: bytes | None) -> None:
    """Put other bytes in the place of a file; None: take it away."""
    if data is None:
        obstore.delete(store_of(destination), path)
    else:
        obstore.put(store_of(destination), path, data)


def sealed(history: History, before: Seal | None, transactions: int) -> tuple[list[SealedAccount], Seal]:
    """A seal of every account of `history`, and its rows."""
    rows = [SealedAccount(it.account_id, it.version, it.head) for it in history.states()]
    digest = Rows()
    for row in rows:
        digest.add(row)
    return rows, sign_seal(KEY, before, digest, transactions, START)


async def write(
    destination: Destination,
    ledger: PaperLedger,
    before: Manifest | None = None,
    *,
    key: Ed25519PrivateKey = KEY,
    cipher: Cipher | None = None,
    seal: bool = False,
    changed: Sequence[Transaction] | None = None,
) -> Manifest:
    """Back up what `ledger` has beyond `before`; `changed` is written instead, as a forger with the key would."""
    known = 0 if before is None else before.ledger_transactions
    fresh = ledger.posted[known:]
    number = 0 if before is None else before.number + 1
    moment = ledger.now + timedelta(seconds=1 + number)
    id_ = f"{moment:%Y%m%dT%H%M%S%f}Z-{number:08x}"
    packer = Packer(destination, id_, cipher)
    with History() as history:
        history.hear(ledger.posted[:known], 0)
        history.hear(fresh, 1)
        touched = {entry.account_id for transaction in fresh for entry in transaction.entries}
        states = [it for it in history.states() if it.account_id in touched]
        head, accounts = history.head()
        for state in states:
            await packer.add("accounts", lines.row_line(SealedAccount(state.account_id, state.version, state.head)))
        for transaction in fresh if changed is None else changed:
            await packer.add("transactions", payload_of(transaction))
        last = None
        if seal:
            rows, made = sealed(history, None, len(ledger.posted))
            for row in rows:
                await packer.add("seals", lines.row_line(row))
            await packer.add("seals", made.line())
            last = LastSeal(made.number, made.root)
    written = fresh if changed is None else changed
    moments = sorted(transaction.posted_at for transaction in written)
    made_manifest = Manifest(
        format=manifest.FORMAT,
        id=id_,
        number=number,
        at=timestamp(moment),
        transactions=len(written),
        entries=sum(len(transaction.entries) for transaction in written),
        accounts=len(states),
        ledger_transactions=known + len(written),
        ledger_accounts=accounts,
        head=head,
        first_posted_at=timestamp(moments[0]) if moments else None,
        last_posted_at=timestamp(moments[-1]) if moments else None,
        seal=last or (None if before is None else before.seal),
        previous=None if before is None else Link(before.id, before.root),
        source=Source("postgresql", 9, "test", {"ledger": START}),
        encryption=None if cipher is None else Encryption("AES-256-GCM", cipher.key_id),
        segments=await packer.finish(),
        public_key=key.public_key().public_bytes_raw().hex(),
    )
    signed = manifest.sign(key, made_manifest)
    await destination.put(f"{id_}/{manifest.NAME}", signed.text())
    return signed
