"""The ledger against its seals: each sealed version of an account must still have its head."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

from chronicle_ledger.proof.check import Check
from chronicle_ledger.proof.merge import Source, each
from chronicle_ledger.seals import SealBroken, SealedChain, file, stored
from chronicle_ledger.seals.chain import SealedState
from chronicle_ledger.store.audit import LedgerEntry
from chronicle_ledger.store.pool import Connection


class SealsAudit:
    """The check of one chain of seals: those in the database, or a copy that is kept elsewhere."""

    def __init__(self, chain: SealedChain, name: str, statement: str, table: str | None) -> None:
        self.check = Check(name, "sealed versions", statement)
        self.chain = chain
        self._table = table

    async def read_database(self, conn: Connection) -> None:
        """Read the seals of the database. Where they are broken, what comes before still counts."""
        try:
            await stored.read(conn, self.chain)
        except SealBroken as error:
            self._broken(f"the seals in the database are broken: {error}")

    def read_file(self, path: Path) -> None:
        """Read a copy. Raises SealFileError."""
        try:
            file.read(path, self.chain)
        except SealBroken as error:
            self._broken(f"the seals in {path} are broken: {error}")
        if self.chain.last is None:
            self.check.differ(f"{path} holds no seal", table=self._table)

    def _broken(self, message: str) -> None:
        self.chain.drop()
        self.check.differ(message, table=self._table)

    def compare_copy(self, copy: SealsAudit) -> None:
        """Compare the seals in the database with a copy. Where both begin alike they are one chain, and then the
        database has each seal of the copy. A file may also be a chain of its own (`chronicle seal --file`)."""
        first = copy.chain.first
        if first is None or self.chain.root_of(first.number) != first.root:
            return
        for number, root in copy.chain.roots():
            here = self.chain.root_of(number)
            if here != root:
                found = "is not there in the database" if here is None else "is another one in the database"
                copy.check.differ(
                    f"seal {number} of the copy {found}: seals were taken away or replaced",
                    table="seal", number=number,
                )  # fmt: skip

    def source(self) -> Source[SealedState]:
        """What was sealed, account by account."""
        return Source(each(self.chain.states()), lambda state: state.account_id)

    async def follow(self, states: AsyncIterator[SealedState]) -> Follower:
        """Begin with one account."""
        return Follower(self, states, await anext(states, None))

    def gone(self, state: SealedState) -> None:
        """Note a sealed version that the ledger does not have."""
        self.check.compared += 1
        self.check.differ(
            f"version {state.version} of account {state.account_id}, sealed by seal {state.number}, is gone",
            **self._where(state),
        )

    def compare(self, state: SealedState, entry: LedgerEntry) -> None:
        """Compare a sealed version with the ledger's."""
        self.check.compared += 1
        if entry.hash is None or bytes(entry.hash) != state.head:
            self.check.differ(
                f"version {state.version} of account {state.account_id} is not what seal {state.number} covers: history"
                " up to it was rewritten",
                **self._where(state),
            )

    @staticmethod
    def _where(state: SealedState) -> dict[str, object]:
        return {
            "table": "entry", "account_id": state.account_id, "version": state.version, "seal": state.number,
        }  # fmt: skip

    def conclude(self) -> None:
        """Say which seals there were."""
        last = self.chain.last
        if last is not None:
            self.check.figures = {"seals": last.number, "at": last.at, "root": last.root, "public_key": last.public_key}


class Follower:
    """What was sealed of one account, beside its entries."""

    def __init__(self, audit: SealsAudit, states: AsyncIterator[SealedState], state: SealedState | None) -> None:
        self._audit = audit
        self._states = states
        self._state = state

    async def entry(self, entry: LedgerEntry) -> None:
        """Compare up to this entry."""
        while self._state is not None and self._state.version <= entry.version:
            if self._state.version == entry.version:
                self._audit.compare(self._state, entry)
            else:
                self._audit.gone(self._state)
            self._state = await anext(self._states, None)

    async def end(self) -> None:
        """Note what comes after the last entry."""
        while self._state is not None:
            self._audit.gone(self._state)
            self._state = await anext(self._states, None)
