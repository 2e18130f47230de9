"""Verifying a chain of backups from its files alone: signatures, hashes, and that it holds one whole history."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from chronicle_ledger.backup import lines, segments
from chronicle_ledger.backup.chain import chain_to, cipher_for, require_files
from chronicle_ledger.backup.cipher import Cipher
from chronicle_ledger.backup.destination import Destination
from chronicle_ledger.backup.errors import BackupError
from chronicle_ledger.backup.history import History
from chronicle_ledger.backup.manifest import Manifest, Segment, SegmentKind
from chronicle_ledger.domain.transaction import Transaction
from chronicle_ledger.seals import Seal, SealBroken, SealedChain
from chronicle_ledger.seals.document import decode as decode_seal

Report = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Verified:
    """What was verified: the chain, from its full backup to the one that was asked for."""

    chain: list[Manifest]
    transactions: int
    entries: int

    @property
    def last(self) -> Manifest:
        """Return the backup that the chain ends with."""
        return self.chain[-1]


class Verify:
    """One run. `report` is called with the number of transactions looked at so far."""

    def __init__(
        self,
        destination: Destination,
        *,
        cipher: Cipher | None = None,
        trusted: Collection[str] = (),
        report: Report = lambda _: None,
    ) -> None:
        self._destination = destination
        self._cipher = cipher
        self._trusted = trusted
        self._report = report
        self._ciphers: dict[str, Cipher | None] = {}
        self._transactions = 0
        self._entries = 0
        self._seal_keys: set[str] = set()

    async def run(self, id_: str | None = None) -> Verified:
        """Verify the chain that ends with backup `id_` (None: the newest). Raises BackupError."""
        chain = await chain_to(self._destination, id_, self._trusted)
        self._ciphers = cipher_for(chain, self._cipher)
        await require_files(self._destination, chain)
        with History() as history:
            for manifest in chain:
                await self._hear(manifest, history)
                await self._compare_accounts(manifest, history)
            for manifest in chain:
                for segment in manifest.segments:
                    if segment.kind == "transactions":
                        for fault in history.misfits(await self._transactions_of(manifest, segment)):
                            raise _broken(manifest, fault)
            await self._compare_seals(chain, history)
        return Verified(chain, self._transactions, self._entries)

    async def _lines(self, manifest: Manifest, segment: Segment) -> list[bytes]:
        return await segments.read(self._destination, manifest, segment, self._ciphers[manifest.id])

    async def _transactions_of(self, manifest: Manifest, segment: Segment) -> list[Transaction]:
        path = f"{manifest.id}/{segment.name}"
        return [lines.transaction(line, path) for line in await self._lines(manifest, segment)]

    async def _hear(self, manifest: Manifest, history: History) -> None:
        counted: dict[SegmentKind, int] = {"transactions": 0, "accounts": 0, "seals": 0}
        entries = 0
        for segment in manifest.segments:
            counted[segment.kind] += segment.lines
            if segment.kind != "transactions":
                continue
            found = await self._transactions_of(manifest, segment)
            if fault := history.hear(found, manifest.number):
                raise _broken(manifest, f"{segment.name}: {fault}")
            entries += sum(len(transaction.entries) for transaction in found)
            self._transactions += len(found)
            self._report(self._transactions)
        self._entries += entries
        said = (manifest.transactions, manifest.entries, manifest.accounts)
        if (counted["transactions"], entries, counted["accounts"]) != said:
            raise _broken(manifest, "its segments do not hold what its counts say")
        if self._transactions != manifest.ledger_transactions:
            raise _broken(
                manifest,
                f"the ledger had {manifest.ledger_transactions} transactions, and {self._transactions} are here",
            )

    async def _compare_accounts(self, manifest: Manifest, history: History) -> None:
        for segment in manifest.segments:
            if segment.kind != "accounts":
                continue
            for line in await self._lines(manifest, segment):
                row = lines.account(line, f"{manifest.id}/{segment.name}")
                state = history.state(row.account_id)
                if state is None or (state.version, state.head) != (row.version, row.head):
                    raise _broken(manifest, f"account {row.account_id} does not end as its transactions say")
                if state.entries != state.version:
                    raise _broken(manifest, f"account {row.account_id} lacks {state.version - state.entries} entries")
        if history.touched(manifest.number) != manifest.accounts:
            raise _broken(manifest, "its transactions moved other accounts than it lists")
        if history.head() != (manifest.head, manifest.ledger_accounts):
            raise _broken(manifest, "its transactions do not lead to the head that it states")

    async def _compare_seals(self, chain: list[Manifest], history: History) -> None:
        await self._collect_keys(chain)
        with SealedChain(self._seal_keys) as sealed:
            for manifest in chain:
                try:
                    await self._hear_seals(manifest, sealed)
                except SealBroken as error:
                    raise _broken(manifest, f"its seals: {error}") from None
                last = sealed.last
                if (None if last is None else (last.number, last.root)) != (
                    None if manifest.seal is None else (manifest.seal.number, manifest.seal.root)
                ):
                    raise _broken(manifest, "it does not end with the seal that it states")
            for state in sealed.states():
                if history.hash_of(state.account_id, state.version) != state.head:
                    raise _broken(
                        chain[-1],
                        f"account {state.account_id} has another head at version {state.version} than seal"
                        f" {state.number} states",
                    )

    async def _collect_keys(self, chain: list[Manifest]) -> None:
        # The manifest's signature covers the seals, whoever signed those: each key in them counts.
        for manifest in chain:
            for segment in manifest.segments:
                if segment.kind == "seals":
                    for line in await self._lines(manifest, segment):
                        if not line.startswith(b"["):
                            self._seal_keys.add(_seal(manifest, line).public_key)

    async def _hear_seals(self, manifest: Manifest, sealed: SealedChain) -> None:
        for segment in manifest.segments:
            if segment.kind != "seals":
                continue
            for line in await self._lines(manifest, segment):
                if line.startswith(b"["):
                    sealed.row(lines.account(line, f"{manifest.id}/{segment.name}"))
                else:
                    sealed.close(_seal(manifest, line))
        if sealed.unfinished:
            raise SealBroken("rows come without the seal that ends them")


def _seal(manifest: Manifest, line: bytes) -> Seal:
    try:
        return decode_seal(line)
    except (ValueError, RecursionError):
        raise _broken(manifest, "a line of its seals is no seal") from None


def _broken(manifest: Manifest, what: str) -> BackupError:
    return BackupError("history_broken", f"backup {manifest.id} does not hold one whole history: {what}")
