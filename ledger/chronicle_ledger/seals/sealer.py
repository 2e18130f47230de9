"""Making the next seal, after showing that the ledger extends the last one."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from chronicle_ledger.scratch import Scratch
from chronicle_ledger.seals import file, stored
from chronicle_ledger.seals.chain import SealedChain, SealedState
from chronicle_ledger.seals.document import Rows, Seal, SealedAccount, sign
from chronicle_ledger.seals.faults import Faults
from chronicle_ledger.store import audit, seals
from chronicle_ledger.store.pool import Connection, Database
from chronicle_ledger.store.seals import Head


class SealRefused(Exception):
    """The ledger does not extend what was sealed; nothing was signed. The message names the accounts."""


@dataclass(frozen=True, slots=True)
class Made:
    """The last seal, and whether this run made it (False: nothing has changed since)."""

    seal: Seal | None
    made: bool


class Changed(Scratch):
    """The accounts of the next seal, in order of id; iterable more than once, in bounded memory."""

    def __init__(self) -> None:
        super().__init__("changed (account BLOB PRIMARY KEY, version INTEGER, head BLOB) WITHOUT ROWID")
        self.rows = Rows()

    def add(self, rows: list[SealedAccount]) -> None:
        """Take rows in order of id."""
        self._db.execute("BEGIN")
        for row in rows:
            self.rows.add(row)
            self._db.execute("INSERT INTO changed VALUES (?, ?, ?)", (row.account_id.bytes, row.version, row.head))
        self._db.execute("COMMIT")

    def __iter__(self) -> Iterator[SealedAccount]:
        """Walk through the rows in order of account id."""
        for row in self._db.execute("SELECT account, version, head FROM changed ORDER BY account"):
            yield SealedAccount(UUID(bytes=row[0]), row[1], row[2])


@dataclass(frozen=True, slots=True)
class _Next:
    """A seal that is signed and not yet written. `end` is where the last whole seal of a file ends."""

    changed: Changed
    seal: Seal
    last: Seal | None
    end: int


class Sealer:
    """Seals one ledger with `key`. `now` gives the time that a seal states."""

    def __init__(self, database: Database, key: Ed25519PrivateKey, now: Callable[[], datetime]) -> None:
        self._database = database
        self._key = key
        self._now = now
        self._trusted = {key.public_key().public_bytes_raw().hex()}

    def trust(self, *public_keys: str) -> None:
        """Accept earlier seals that were signed by these keys too (hex)."""
        self._trusted.update(public_keys)

    async def into_database(self, last_root: str | None = None) -> Made:
        """Make the next seal of those in the database. `last_root` is the root that the last of them must have, as it
        is known elsewhere: who holds the database could have taken the latest seals away.

        Raises SealRefused, SealBroken, SealOvertaken and the driver's errors.
        """
        async with self._signed(None, last_root) as made:
            if not made.seal.accounts:
                return Made(made.last, made=False)
            await stored.write(self._database, made.changed, made.seal)
            return Made(made.seal, made=True)

    async def into_file(self, path: Path, last_root: str | None = None) -> Made:
        """Append the next seal to `path`. Raises SealRefused, SealBroken, SealFileError and the driver's errors."""
        with file.locked(path) as opened:
            async with self._signed(opened, last_root) as made:
                if not made.seal.accounts:
                    return Made(made.last, made=False)
                file.append(opened, made.end, made.changed, made.seal)
                return Made(made.seal, made=True)

    @contextlib.asynccontextmanager
    async def _signed(self, opened: BinaryIO | None, last_root: str | None) -> AsyncIterator[_Next]:
        with SealedChain(self._trusted) as chain, Changed() as changed:
            async with audit.snapshot(self._database) as conn:
                end = 0
                if opened is None:
                    await stored.read(conn, chain)
                else:
                    end = file.hear(opened, chain)
                _require_whole(chain, last_root)
                await _compare(conn, chain, changed)
                transactions = await seals.transaction_count(conn)
            seal = sign(self._key, chain.last, changed.rows, transactions, self._now())
            yield _Next(changed, seal, chain.last, end)


def _gone(state: SealedState) -> str:
    return f"account {state.account_id}, sealed at version {state.version} by seal {state.number}, is gone"


def _refuse(faults: Faults) -> None:
    """Raise SealRefused where there are faults."""
    if faults:
        raise SealRefused(
            f"the ledger does not extend what was sealed, so nothing was signed: {faults}."
            " `chronicle proof` says more; restore the rows from a backup that ends with the last seal"
        )


def _require_whole(chain: SealedChain, last_root: str | None) -> None:
    last = chain.last
    if chain.first is not None and chain.first.number != 1:
        raise SealRefused(f"the seals begin with number {chain.first.number}; a sealer needs them from number 1")
    if last_root is not None and (last is None or last.root != last_root):
        stands = "there is no seal" if last is None else f"the last seal is number {last.number} with root {last.root}"
        raise SealRefused(
            f"{stands}, and the last known root is {last_root}: seals were taken away, or this is another ledger."
            " Bring back the missing seals from a copy"
        )


async def _compare(conn: Connection, chain: SealedChain, changed: Changed) -> None:
    faults = Faults()
    after: UUID | None = None
    async for page in seals.heads(conn):
        last = page[-1][0]
        await _compare_page(conn, page, chain.latest(after, last), changed, faults)
        after = last
    for state in chain.latest(after, None).values():
        faults.add(_gone(state))
    _refuse(faults)


async def _compare_page(
    conn: Connection, page: list[Head], sealed: dict[UUID, SealedState], changed: Changed, faults: Faults
) -> None:
    wanted = {(id_, version) for id_, version, _ in page if version >= 1}
    wanted.update((state.account_id, state.version) for state in sealed.values())
    hashes = await seals.hashes(conn, sorted(wanted))
    found: list[SealedAccount] = []
    for id_, version, head in page:
        state = sealed.pop(id_, None)
        if state is not None and hashes.get((id_, state.version)) != state.head:
            faults.add(
                f"account {id_} no longer has the head that seal {state.number} states for version {state.version}"
            )
        elif state is not None and version < state.version:
            faults.add(f"account {id_} is at version {version}, and seal {state.number} states {state.version}")
        elif hashes.get((id_, version)) != head:
            faults.add(f"account {id_}: its head is not the hash of the transaction that wrote version {version}")
        elif state is None or version > state.version:
            found.append(SealedAccount(id_, version, head))
    for state in sealed.values():
        faults.add(_gone(state))
    changed.add(found)
