"""Putting a chain of backups back into an empty ledger, which is marked until a proof has shown that it is the one that
was backed up."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from uuid import uuid4

from chronicle_ledger.backup import lines, streaming, until
from chronicle_ledger.backup.books import Books
from chronicle_ledger.backup.chain import chain_to, cipher_for, require_files
from chronicle_ledger.backup.cipher import Cipher
from chronicle_ledger.backup.destination import Destination
from chronicle_ledger.backup.errors import UNDECIDED, USAGE, BackupError
from chronicle_ledger.backup.manifest import Manifest
from chronicle_ledger.backup.pace import Pace
from chronicle_ledger.backup.reader import Reader
from chronicle_ledger.backup.rows import ACCOUNTS_AT_ONCE, AT_ONCE, batches, holds, windows
from chronicle_ledger.backup.until import To, Until
from chronicle_ledger.domain.errors import DatabaseUnavailable
from chronicle_ledger.events.bus import Bus
from chronicle_ledger.events.rebuild import Rebuild
from chronicle_ledger.events.view_writer import in_transaction
from chronicle_ledger.proof import KeptSeals, Proof, Result, prove
from chronicle_ledger.proof.said import Said
from chronicle_ledger.seals import Seal, SealedAccount
from chronicle_ledger.store import leases, migrate, refill, restoring, seals
from chronicle_ledger.store.pool import Connection, Database

LEASE = "backup/restore"
LEASE_SECONDS = 60.0


@dataclass(slots=True)
class Progress:
    """How far a restore is. `step` is reading, writing, publishing or proving."""

    step: str = "reading"
    transactions: int = 0


@dataclass(frozen=True, slots=True)
class Restored:
    """What was put back, and the proof of it. `seal_keys` (hex) signed the seals."""

    backup: Manifest
    transactions: int
    accounts: int
    seals: int
    seal_keys: tuple[str, ...]
    proof: Proof


Report = Callable[[Progress], None]


class Restore:
    """One run. `bus` None: the events stay in the outbox until a relay takes them. `per_second` bounds the transactions
    that are written in a second."""

    def __init__(
        self,
        database: Database,
        destination: Destination,
        *,
        bus: Bus | None = None,
        replicas: int = 1,
        cipher: Cipher | None = None,
        trusted: Collection[str] = (),
        per_second: float | None = None,
        report: Report = lambda _: None,
    ) -> None:
        self._database = database
        self._destination = destination
        self._bus = bus
        self._replicas = replicas
        self._cipher = cipher
        self._trusted = trusted
        self._pace = Pace(per_second)
        self._report = report
        self._progress = Progress()
        self._holder = uuid4().hex
        self._leased_at = 0.0
        self._seal_keys: set[str] = set()

    async def run(self, id_: str | None = None, *, to: To = None, restart: bool = False) -> Restored:
        """Put back the chain that ends with backup `id_` (None: the newest), up to `to`; then rebuild the view and
        prove. `restart` removes what an interrupted restore left.

        Raises BackupError, what Rebuild raises, and the driver's errors. Whatever ends it after its first write, the
        ledger stays marked, and no replica of it is ready.
        """
        chain = await chain_to(self._destination, id_, self._trusted)
        reader = Reader(self._destination, chain, cipher_for(chain, self._cipher))
        await require_files(self._destination, chain)
        cut = await until.until(reader, chain, to)
        await self._hold_lease()
        try:
            await self._require_empty(restart=restart)
            if self._bus is not None:
                await streaming.require_empty(self._bus)
            async with self._database.connection() as conn:
                await refill.mark(conn, chain[-1].id)
            if restart:
                await self._clear()
            with Books() as books, Said() as said:
                await self._transactions(reader, cut, books, said)
                sealed = await self._rest(reader, chain[0], books, said)
                head, transactions = books.head(), books.transactions
            if to is None and head != chain[-1].head:
                raise BackupError(
                    "head_differs", f"the files of backup {chain[-1].id} do not lead to the head it states"
                )
            await self._finish()
            proof = await self._prove(head, transactions)
            async with self._database.connection() as conn:
                await refill.unmark(conn)
        finally:
            with contextlib.suppress(DatabaseUnavailable):  # the lease then runs out by itself
                async with self._database.connection() as conn:
                    await leases.release(conn, [LEASE], self._holder)
        return Restored(chain[-1], transactions, proof.accounts, sealed, tuple(sorted(self._seal_keys)), proof)

    def _step(self, step: str) -> None:
        self._progress.step = step
        self._report(self._progress)

    # ---- before anything is written -----------------------------------------------------------------------------

    async def _hold_lease(self) -> None:
        async with self._database.connection() as conn:
            if not await migrate.is_current(conn):
                raise BackupError(
                    "schema_missing",
                    "the schema is missing or old: run `chronicle migrate` on the empty database",
                    USAGE,
                )
            if not await leases.claim(conn, [LEASE], self._holder, LEASE_SECONDS):
                raise BackupError(
                    "restore_running",
                    f"another restore is running; wait for its end (or {LEASE_SECONDS:.0f} seconds if it was killed)",
                    UNDECIDED,
                )
        self._leased_at = time.monotonic()

    async def _keep_lease(self) -> None:
        if time.monotonic() - self._leased_at > LEASE_SECONDS / 3:
            async with self._database.connection() as conn:
                if not await leases.renew(conn, LEASE, self._holder, LEASE_SECONDS):
                    raise BackupError(
                        "restore_overtaken",
                        f"this restore stood still for {LEASE_SECONDS:.0f} seconds, and another one has begun since",
                        UNDECIDED,
                    )
            self._leased_at = time.monotonic()

    async def _require_empty(self, *, restart: bool) -> None:
        async with self._database.connection() as conn:
            marked, filled = await restoring.restoring(conn), await refill.filled(conn)
        if marked is not None and not restart:
            raise BackupError(
                "restore_unfinished",
                f"a restore of backup {marked} was interrupted or not proven here. Run this again with --restart, which"
                " removes what it left",
            )
        if marked is None and filled:
            raise BackupError(
                "ledger_not_empty",
                f"the ledger is not empty ({', '.join(filled)}), and a restore overwrites nothing: give an empty one",
            )

    async def _clear(self) -> None:
        self._step("clearing")
        while await in_transaction(self._database, refill.clear_some):
            await self._keep_lease()

    # ---- writing ------------------------------------------------------------------------------------------------

    async def _transactions(self, reader: Reader, cut: Until, books: Books, said: Said) -> None:
        self._step("writing")
        async for path, page in reader.transactions():
            read = [(lines.transaction(line, path), len(line)) for line in page]
            wanted = [(transaction, size) for transaction, size in read if cut.has(transaction)]
            books.hear([transaction for transaction, _ in wanted])
            said.hear([transaction for transaction, _ in wanted])
            for batch in windows(wanted):
                await self._keep_lease()
                await in_transaction(self._database, partial(refill.transactions, found=batch))
                self._progress.transactions += len(batch)
                self._report(self._progress)
                await self._pace.took(len(batch))

    async def _rest(self, reader: Reader, full: Manifest, books: Books, said: Said) -> int:
        """Write what follows from the transactions, and the seals that fit them; return how many seals."""
        for accounts in batches(books.accounts(), ACCOUNTS_AT_ONCE):
            await self._keep_lease()
            await in_transaction(self._database, partial(refill.accounts, found=accounts))
        for some in batches(holds(said), AT_ONCE):
            await self._keep_lease()
            await in_transaction(self._database, partial(refill.holds, found=some))
        await in_transaction(self._database, partial(refill.applied, times=full.source.applied))
        count = 0
        async for seal, rows in reader.seals():
            if any(row.version > books.version(row.account_id) for row in rows):
                break  # it was made after the cut, as were those that follow it
            await self._keep_lease()
            await in_transaction(self._database, partial(_write_seal, seal=seal, rows=rows))
            self._seal_keys.add(seal.public_key)
            count += 1
        return count

    # ---- read model, stream, proof ------------------------------------------------------------------------------

    async def _finish(self) -> None:
        self._step("rebuilding")
        await Rebuild(self._database).run()
        await self._keep_lease()
        if self._bus is not None:
            self._step("publishing")
            await streaming.publish(self._database, self._bus, self._replicas, self._keep_lease)

    async def _prove(self, head: str, transactions: int) -> Proof:
        self._step("proving")
        proof = await prove(self._database, self._bus, kept=KeptSeals(None, frozenset(self._seal_keys)))
        await self._keep_lease()
        if proof.result is not Result.PASSED:
            status = UNDECIDED if proof.result is Result.INCONCLUSIVE else 1
            told = "; ".join(check.document()["message"] for check in proof.checks if not check.ok)
            raise BackupError(
                "not_proven", f"what was put back is not proven, so it stays out of service: {told}", status
            )
        if (proof.head, proof.transactions) != (head, transactions):
            raise BackupError(
                "head_differs",
                f"the ledger has head {proof.head} and {proof.transactions} transactions, and the backup {head} and"
                f" {transactions}; it stays out of service",
            )
        return proof


async def _write_seal(conn: Connection, seal: Seal, rows: Sequence[SealedAccount]) -> None:
    await seals.insert_seal(conn, seal.number, seal.line())
    for page in batches(rows, seals.PAGE):
        await seals.insert_rows(conn, seal.number, [(row.account_id, row.version, row.head) for row in page])
