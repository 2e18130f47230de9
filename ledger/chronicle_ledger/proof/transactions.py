"""Transaction by transaction: the hash chain, and what the stream and the outbox say of each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol
from uuid import UUID

from chronicle_ledger.domain.hashing import recompute
from chronicle_ledger.domain.payload import payload_of, shard_of
from chronicle_ledger.domain.transaction import Transaction
from chronicle_ledger.proof.check import Check
from chronicle_ledger.proof.contradictions import Contradiction, Contradictions
from chronicle_ledger.proof.said import Said
from chronicle_ledger.proof.witness import Testimony, Witness, digest, stamp
from chronicle_ledger.store import audit
from chronicle_ledger.store.pool import Connection

Known = Callable[[list[UUID]], Awaitable[set[UUID]]]


class StreamRepair(Protocol):
    """What `reconcile` does about what the stream lacks or has too much."""

    async def contradicted(self, contradiction: Contradiction) -> None:
        """Called before what contradicts the ledger is repaired; raises where it may not be."""

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
        self.contradictions = Contradictions()
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
        after: UUID | None = None
        async for page in audit.transactions(conn):
            self.transactions += len(page.transactions)
            for id_, fault in page.faults:
                self.chain.differ(f"transaction {id_} {fault}", table="txn", transaction_id=id_)
            self._said.hear(page.transactions)
            for transaction in page.transactions:
                self._balance(transaction, balanced)
                self._hash(transaction)
            if self._witness is not None:
                unread = {id_ for id_, _ in page.faults}
                await self._compare(page.transactions, unread, self._witness.between(after, page.last))
            after = page.last
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
                    table="txn", transaction_id=transaction.id, currency=currency, sum=total,
                )  # fmt: skip

    def _hash(self, transaction: Transaction) -> None:
        self.chain.compared += 1
        if not transaction.entries:
            self.chain.differ(
                f"transaction {transaction.id} has no entries", table="txn", transaction_id=transaction.id
            )
            return
        for entry in transaction.entries:
            if entry.previous is None:
                self.chain.differ(
                    f"what wrote version {entry.version - 1} of account {entry.account_id} is gone; transaction"
                    f" {transaction.id} comes after it",
                    table="entry", account_id=entry.account_id, version=entry.version - 1,
                    transaction_id=transaction.id,
                )  # fmt: skip
                return
        try:
            fits = recompute(transaction) == transaction.hash
        except (ValueError, OverflowError) as error:
            self.chain.differ(
                f"transaction {transaction.id} cannot be hashed: {error}", table="txn", transaction_id=transaction.id
            )
            return
        if not fits:
            self.chain.differ(
                f"transaction {transaction.id} ({transaction.kind}) is not what was posted: its hash does not fit its"
                " content or what came before it",
                table="txn", transaction_id=transaction.id, account_id=transaction.entries[0].account_id,
                version=transaction.entries[0].version,
            )  # fmt: skip

    async def _contradict(self, transaction: UUID, sequence: int | None, what: str) -> None:
        contradiction = Contradiction(transaction, sequence, what)
        self.contradictions.note(contradiction)
        if self._repair is not None:
            await self._repair.contradicted(contradiction)

    async def _compare(self, page: list[Transaction], unread: set[UUID], testimonies: Iterable[Testimony]) -> None:
        said = {testimony.id: testimony for testimony in testimonies}
        for id_ in unread & said.keys():
            if said[id_].sequence is not None:
                await self._contradict(id_, said[id_].sequence, "the ledger holds in another form")
        for transaction in page:
            self.stream.compared += 1
            await self._compare_one(transaction, said.pop(transaction.id, None))
        await self._foreign(list(said.values()))

    async def _compare_one(self, transaction: Transaction, testimony: Testimony | None) -> None:
        if testimony is None:
            self.stream.differ(
                f"transaction {transaction.id} is neither in the outbox nor in the stream",
                table="outbox",
                transaction_id=transaction.id,
            )
            if self._repair is not None:
                await self._repair.missing(transaction)
            return
        payload = payload_of(transaction).encode()
        truth = digest(payload)
        right = (shard_of(transaction), stamp(payload, transaction.posted_at))
        rows = [row.shard for row in testimony.waiting if (row.shard, row.stamp) != right]
        if (testimony.same and testimony.digest in (None, truth) and not rows) or self._witness is None:
            return
        wrong = self._witness.disagreeing(testimony, truth)
        self.stream.differ(
            f"an event of transaction {transaction.id} (message {wrong[0] if wrong else 'in the outbox'}) is not what"
            " the ledger says",
            table=None if wrong else "outbox", transaction_id=transaction.id, sequence=wrong[0] if wrong else None,
        )  # fmt: skip
        if any(row.event not in (None, truth) for row in testimony.waiting):
            await self._contradict(transaction.id, None, "the ledger has otherwise")
        for sequence in wrong:
            await self._contradict(transaction.id, sequence, "the ledger has otherwise")
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
                table="outbox" if testimony.sequence is None else None, transaction_id=testimony.id,
                sequence=testimony.sequence,
            )  # fmt: skip
            messages = self._witness.disagreeing(testimony, None)
            if any(row.event is not None for row in testimony.waiting):
                await self._contradict(testimony.id, None, "the ledger does not have")
            for sequence in messages:
                await self._contradict(testimony.id, sequence, "the ledger does not have")
            if self._repair is not None:
                await self._repair.foreign(testimony.id, messages)
                if testimony.waiting:
                    await self._repair.waiting(testimony.id, [row.shard for row in testimony.waiting], None)
