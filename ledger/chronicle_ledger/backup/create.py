"""Making a backup: from one snapshot, after showing that the ledger extends the backup before."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from chronicle_ledger import __version__
from chronicle_ledger.backup import lines, manifest, segments
from chronicle_ledger.backup.chain import chain_to, cipher_for, newest
from chronicle_ledger.backup.cipher import Cipher
from chronicle_ledger.backup.cut import Cut
from chronicle_ledger.backup.destination import Destination
from chronicle_ledger.backup.errors import NO, USAGE, BackupError
from chronicle_ledger.backup.manifest import Encryption, LastSeal, Link, Manifest, Source
from chronicle_ledger.backup.pace import Pace
from chronicle_ledger.backup.segments import Packer
from chronicle_ledger.domain.canonical import timestamp
from chronicle_ledger.domain.payload import payload_of
from chronicle_ledger.seals import SealedAccount
from chronicle_ledger.seals.document import decode as decode_seal
from chronicle_ledger.seals.faults import Faults
from chronicle_ledger.store import audit, backup, migrate, restoring, seals, server
from chronicle_ledger.store.pool import Connection, Database

AT_ONCE = 1000
"""Entries looked up at once."""


@dataclass(slots=True)
class Progress:
    """How far a backup is."""

    transactions: int = 0
    stored_bytes: int = 0


@dataclass(slots=True)
class _Counts:
    transactions: int = 0
    entries: int = 0
    accounts: int = 0
    ledger_accounts: int = 0
    first: datetime | None = None
    last: datetime | None = None
    seal: LastSeal | None = None
    heads: Any = field(default_factory=hashlib.sha256)


Report = Callable[[Progress], None]


class Create:
    """One backup of one ledger, signed with `key`.

    `trusted` are former keys (hex) whose backups may be continued. `per_second` bounds the transactions that are read
    in a second.
    """

    def __init__(
        self,
        database: Database,
        destination: Destination,
        key: Ed25519PrivateKey,
        *,
        cipher: Cipher | None = None,
        trusted: Collection[str] = (),
        per_second: float | None = None,
        report: Report = lambda _: None,
    ) -> None:
        self._database = database
        self._destination = destination
        self._key = key
        self._public = key.public_key().public_bytes_raw().hex()
        self._cipher = cipher
        self._trusted = {self._public, *trusted}
        self._pace = Pace(per_second)
        self._report = report
        self._progress = Progress()
        self._counts = _Counts()

    async def run(self, *, full: bool = False) -> Manifest:
        """Continue the newest backup; make a full one where there is none, or where `full`.

        Raises BackupError and the driver's errors. Whatever ends it early, no manifest is written, so what it stored
        counts for nothing.
        """
        async with self._database.connection() as conn:
            if not await migrate.is_current(conn):
                raise BackupError(
                    "schema_missing", "the schema is missing or old: run `chronicle migrate` first", USAGE
                )
        chain: list[Manifest] = []
        if not full and await newest(self._destination) is not None:
            chain = await chain_to(self._destination, None, self._trusted)
        with Cut() as cut:
            await self._load(chain, cut)
            async with audit.snapshot(self._database) as conn:
                return await self._make(conn, chain[-1] if chain else None, cut)

    async def _load(self, chain: list[Manifest], cut: Cut) -> None:
        ciphers = cipher_for(chain, self._cipher)
        for before in chain:
            for segment in before.segments:
                if segment.kind == "accounts":
                    found = await segments.read(self._destination, before, segment, ciphers[before.id])
                    path = f"{before.id}/{segment.name}"
                    cut.move([lines.account(line, path) for line in found])

    async def _make(self, conn: Connection, before: Manifest | None, cut: Cut) -> Manifest:
        origin = await backup.origin(conn)
        if (marked := await restoring.restoring(conn)) is not None:
            raise BackupError("restore_unfinished", f"this ledger is being put back from backup {marked}", NO)
        id_ = _id(origin.at, before)
        packer = Packer(self._destination, id_, self._cipher, self._stored)
        try:
            await self._accounts(conn, cut, packer)
            await self._require_all(conn, before)
            await self._seals(conn, 0 if before is None or before.seal is None else before.seal.number, packer)
            written = await packer.finish()
        except BaseException:
            await packer.abandon()
            raise
        counts = self._counts
        made = Manifest(
            format=manifest.FORMAT,
            id=id_,
            number=0 if before is None else before.number + 1,
            at=timestamp(origin.at),
            transactions=counts.transactions,
            entries=counts.entries,
            accounts=counts.accounts,
            ledger_transactions=counts.transactions + (0 if before is None else before.ledger_transactions),
            ledger_accounts=counts.ledger_accounts,
            head=counts.heads.hexdigest(),
            first_posted_at=None if counts.first is None else timestamp(counts.first),
            last_posted_at=None if counts.last is None else timestamp(counts.last),
            seal=counts.seal or (None if before is None else before.seal),
            previous=None if before is None else Link(before.id, before.root),
            source=Source(server.kind(conn), origin.schema_version, __version__, origin.applied),
            encryption=None if self._cipher is None else Encryption("AES-256-GCM", self._cipher.key_id),
            segments=written,
            public_key=self._public,
        )
        signed = manifest.sign(self._key, made)
        await self._destination.put(f"{id_}/{manifest.NAME}", signed.text())
        return signed

    def _stored(self, count: int) -> None:
        self._progress.stored_bytes += count
        self._report(self._progress)

    async def _accounts(self, conn: Connection, cut: Cut, packer: Packer) -> None:
        faults = Faults()
        after: UUID | None = None
        async for page in seals.heads(conn):
            last = page[-1][0]
            before = cut.between(after, last)
            changed = await self._compare(conn, page, before, faults)
            _refuse(faults)
            for row in changed:
                await packer.add("accounts", lines.row_line(row))
            self._counts.accounts += len(changed)
            for piece in _pieces(_versions(changed, before), AT_ONCE):
                await self._transactions(conn, piece, cut, packer)
            after = last
        for gone in cut.between(after, None).values():
            faults.add(f"account {gone.account_id}, backed up at version {gone.version}, is gone")
        _refuse(faults)

    async def _compare(
        self, conn: Connection, page: list[seals.Head], before: dict[UUID, SealedAccount], faults: Faults
    ) -> list[SealedAccount]:
        """Return the accounts of the page that changed since the backup before."""
        wanted = {(id_, version) for id_, version, _ in page if version >= 1}
        wanted.update((row.account_id, row.version) for row in before.values())
        hashes = await seals.hashes(conn, sorted(wanted))
        changed: list[SealedAccount] = []
        seen = set()
        for id_, version, head in page:
            seen.add(id_)
            self._counts.ledger_accounts += 1
            self._counts.heads.update(id_.bytes + head)
            then = before.get(id_)
            if then is not None and (version < then.version or hashes.get((id_, then.version)) != then.head):
                faults.add(f"account {id_} no longer has what was backed up of it at version {then.version}")
            elif hashes.get((id_, version)) != head:
                faults.add(f"account {id_}: its head is not the hash of the transaction that wrote version {version}")
            elif then is None or version > then.version:
                changed.append(SealedAccount(id_, version, head))
        for id_ in before.keys() - seen:
            faults.add(f"account {id_}, backed up at version {before[id_].version}, is gone")
        return changed

    async def _transactions(
        self, conn: Connection, piece: Sequence[tuple[UUID, int]], cut: Cut, packer: Packer
    ) -> None:
        ids = await backup.writers(conn, piece)
        if len(ids) != len(piece):
            raise _damaged(f"{len(piece) - len(ids)} entries of accounts such as {piece[0][0]} are missing")
        fresh = cut.take(ids)
        try:
            found = await backup.transactions(conn, fresh)
        except backup.Unreadable as error:
            raise _damaged(str(error)) from None
        if len(found) != len(fresh):
            raise _damaged(f"{len(fresh) - len(found)} transactions that entries name are missing")
        counts = self._counts
        for transaction in found:
            await packer.add("transactions", payload_of(transaction))
            counts.entries += len(transaction.entries)
            moment = transaction.posted_at
            counts.first = moment if counts.first is None or moment < counts.first else counts.first
            counts.last = moment if counts.last is None or moment > counts.last else counts.last
        counts.transactions += len(found)
        self._progress.transactions = counts.transactions
        self._report(self._progress)
        await self._pace.took(len(found))

    async def _require_all(self, conn: Connection, before: Manifest | None) -> None:
        count = await seals.transaction_count(conn)
        reached = self._counts.transactions + (0 if before is None else before.ledger_transactions)
        if count != reached:
            raise _damaged(f"the ledger has {count} transactions, and its accounts' entries lead to {reached}")

    async def _seals(self, conn: Connection, last: int, packer: Packer) -> None:
        rows = seals.sealed_accounts(conn, last + 1)
        row = await anext(rows, None)
        async for number, document in seals.seals(conn, last + 1):
            while row is not None and row[0] <= number:
                await packer.add("seals", lines.row_line(SealedAccount(*row[1:])))
                row = await anext(rows, None)
            try:
                seal = decode_seal(document)
            except (ValueError, RecursionError):
                raise _damaged(f"what is stored as seal {number} is no seal") from None
            await packer.add("seals", seal.line())
            self._counts.seal = LastSeal(seal.number, seal.root)


def _id(at: datetime, before: Manifest | None) -> str:
    """Return an id that sorts after that of the backup before, whatever became of the clock."""
    id_ = f"{at:%Y%m%dT%H%M%S%f}Z"
    if before is not None and id_ <= before.id:
        then = datetime.strptime(before.id[:21], "%Y%m%dT%H%M%S%f").replace(tzinfo=UTC)
        id_ = f"{then + timedelta(microseconds=1):%Y%m%dT%H%M%S%f}Z"
    return f"{id_}-{secrets.token_hex(4)}"


def _refuse(faults: Faults) -> None:
    if faults:
        raise _damaged(str(faults))


def _damaged(what: str) -> BackupError:
    return BackupError(
        "ledger_damaged",
        f"the ledger is not as it was posted, or another one than before, so no backup was made: {what}. `chronicle"
        " proof` says more",
    )


def _versions(changed: Iterable[SealedAccount], before: dict[UUID, SealedAccount]) -> Iterator[tuple[UUID, int]]:
    for row in changed:
        then = before.get(row.account_id)
        for version in range(1 if then is None else then.version + 1, row.version + 1):
            yield row.account_id, version


def _pieces(versions: Iterator[tuple[UUID, int]], size: int) -> Iterator[list[tuple[UUID, int]]]:
    piece: list[tuple[UUID, int]] = []
    for version in versions:
        piece.append(version)
        if len(piece) == size:
            yield piece
            piece = []
    if piece:
        yield piece
