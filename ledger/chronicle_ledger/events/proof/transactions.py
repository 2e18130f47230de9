"""Transaction by transaction: the hash chain, and what the stream and the outbox say of each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol
from uuid import UUID

from chronicle_ledger.domain.hashing import recompute
from chronicle_ledger.domain.payload import payload_of, shard_of
from chronicle_ledger.domain.transaction import Transaction
from chronicle_ledger.events.proof.check import Check
from chronicle_ledger.events.proof.said import Said
from chronicle_ledger.events.proof.witness import Testimony, Witness, digest
from chronicle_ledger.store import audit
from chronicle_ledger.store.pool import Connection

Known = Callable[[list[UUID]], Awaitable[set[UUID]]]


class StreamRepair(Protocol):
    """What `reconcile` does about what the stream lacks or has too much."""

    async def missing(self, transaction: Transaction) -> None:
        """A posted transaction has no message, or a wrong one."""

    async def foreign(self, transaction: UUID, sequences: list[int]) -> None:
        """These messages speak of a transaction that the ledger does not have, or differ from what it says."""

    async def unreadable(self, sequence: int, reason: str) -> None:
        """This message is no event."""

    async def waiting(self, id_: UUID, shards: list[int], transaction: Transaction | None) -> None:
        """The outbox rows of `id_` in these shards are not what the ledger says of it (None: it does not have it)."""


class TransactionsAudit:
    """Runs the checks that go transaction by transaction. `witness` None: the stream could not be read. `said` takes
    what transactions say of holds and reversals."""

    def __init__(self, witness: Witness | None, said: Said, known: Known, repair: StreamRepair | None = None) -> None:
        self.chain = Check("chain", "transactions", "each transaction's hash covers its content and what came before")
        self.stream = Check("stream", "transactions", "outbox and stream together hold exactly the ledger's events")
        self.transactions = 0
        self._witness = witness
        self._said = said
        self._known = known
        self._repair = repair

    @property
    def checks(self) -> list[Check]:
        """In the order in which they are shown."""
        return [self.chain, self.stream]

    async def run(self, conn: Connection, balanced: Check) -> None:
        """Walk through everything; transactions that do not sum to zero go to `balanced`."""
        after = audit.FIRST
        async for page in audit.transactions(conn):
            self.transactions += len(page)
            self._said.hear(page)
            for transaction in page:
                self._balance(transaction, balanced)
                self._hash(transaction)
            if self._witness is not None:
                await self._compare(page, self._witness.between(after, page[-1].id))
            after = page[-1].id
        if self._witness is not None:
            await self._foreign(list(self._witness.between(after, None)))
            for sequence, reason in self._witness.unreadable():
                self.stream.differ(f"message {sequence} of the stream is {reason}", sequence=sequence)
                if self._repair is not None:
                    await self._repair.unreadable(sequence, reason)
            self.stream.figures = {"messages": self._witness.messages, **self._witness.counts()}

    def _balance(self, transaction: Transaction, balanced: Check) -> None:
        sums: dict[str, int] = defaultdict(int)
        for entry in transaction.entries:
            sums[entry.currency] += entry.amount
        for currency, total in sums.items():
            if total:
                balanced.differ(
                    f"transaction {transaction.id}: its entries in {currency} sum to {total}, not 0",
                    transaction_id=transaction.id, currency=currency, sum=total,
                )  # fmt: skip

    def _hash(self, transaction: Transaction) -> None:
        self.chain.compared += 1
        if not transaction.entries:
            self.chain.differ(f"transaction {transaction.id} has no entries", transaction_id=transaction.id)
            return
        for entry in transaction.entries:
            if entry.previous is None:
                self.chain.differ(
                    f"what wrote version {entry.version - 1} of account {entry.account_id} is gone; transaction"
                    f" {transaction.id} comes after it",
                    account_id=entry.account_id, version=entry.version - 1, transaction_id=transaction.id,
                )  # fmt: skip
                return
        try:
            fits = recompute(transaction) == transaction.hash
        except ValueError as error:
            self.chain.differ(f"transaction {transaction.id} cannot be hashed: {error}", transaction_id=transaction.id)
            return
        if not fits:
            self.chain.differ(
                f"transaction {transaction.id} ({transaction.kind}) is not what was posted: its hash does not fit its"
                " content or what came before it",
                transaction_id=transaction.id, account_id=transaction.entries[0].account_id,
                version=transaction.entries[0].version,
            )  # fmt: skip

    async def _compare(self, page: list[Transaction], testimonies: Iterable[Testimony]) -> None:
        said = {testimony.id: testimony for testimony in testimonies}
        for transaction in page:
            self.stream.compared += 1
            await self._compare_one(transaction, said.pop(transaction.id, None))
        await self._foreign(list(said.values()))

    async def _compare_one(self, transaction: Transaction, testimony: Testimony | None) -> None:
        if testimony is None:
            self.stream.differ(
                f"transaction {transaction.id} is neither in the outbox nor in the stream",
                transaction_id=transaction.id,
            )
            if self._repair is not None:
                await self._repair.missing(transaction)
            return
        truth = digest(payload_of(transaction).encode())
        right = (shard_of(transaction), truth)
        rows = [shard for shard, said in testimony.waiting if (shard, said) != right]
        if (testimony.same and testimony.digest in (None, truth) and not rows) or self._witness is None:
            return
        wrong = self._witness.disagreeing(testimony, truth)
        self.stream.differ(
            f"an event of transaction {transaction.id} (message {wrong[0] if wrong else 'in the outbox'}) is not what"
            " the ledger says",
            transaction_id=transaction.id, sequence=wrong[0] if wrong else None,
        )  # fmt: skip
        if self._repair is not None:
            await self._repair.foreign(transaction.id, wrong)
            if rows:
                await self._repair.waiting(transaction.id, rows, transaction)
            # Published here and now too where a wrong message came first: JetStream may take the right one, which
            # the relay brings under the same id, for its repetition.
            if not self._witness.agreeing(testimony, truth) and (wrong or not testimony.waiting):
                await self._repair.missing(transaction)

    async def _foreign(self, testimonies: list[Testimony]) -> None:
        if not testimonies or self._witness is None:
            return
        # A message of a transaction posted after the moment of the proof is no stranger: ask the ledger as it is now.
        known = await self._known([testimony.id for testimony in testimonies])
        for testimony in testimonies:
            if testimony.id in known:
                continue
            where = "a row in the outbox" if testimony.sequence is None else f"message {testimony.sequence}"
            self.stream.differ(
                f"{where} speaks of transaction {testimony.id}, which the ledger does not have",
                transaction_id=testimony.id, sequence=testimony.sequence,
            )  # fmt: skip
            if self._repair is not None:
                await self._repair.foreign(testimony.id, self._witness.disagreeing(testimony, None))
                if testimony.waiting:
                    await self._repair.waiting(testimony.id, [shard for shard, _ in testimony.waiting], None)
