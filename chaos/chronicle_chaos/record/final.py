"""The final reads of a scenario: what the ledger says once load is off, kept in a file so that a verdict can be
reached again from files alone."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from chronicle_chaos.errors import UnreadableRun
from chronicle_chaos.load.client import LedgerClient

PAGE = 500
READS_AT_ONCE = 16

ROUNDS = 6
"""How often the accounts are looked at again when something still changed."""

PAUSE = 0.3
"""Seconds between two attempts at one read, and between two looks at accounts that change."""

PROOF_SECONDS = 60.0
"""A proof reads the whole ledger, so it may take longer than any other read."""

TOO_MANY = 429
"""The status by which an instance says that it makes a proof for somebody else."""

PROOF_PAUSE = 2.0
"""Seconds between two proofs, where the first could not decide."""


class FinalAccount(msgspec.Struct, frozen=True):
    """An account with all of its entries, oldest first (amounts in minor units). The entries were read after the
    account, so they may be ahead of it, never behind."""

    id: str
    balance: int
    held: int
    floor: int | None
    version: int
    entries: list[dict[str, Any]]


class RegionalState(msgspec.Struct, frozen=True):
    """An account as one region has it (amounts in minor units)."""

    version: int
    balance: int
    held: int


class FinalReads(msgspec.Struct):
    """What was read. `errors` says which accounts and transactions could not be: they are unknown, not absent.

    `absent` are accounts of which the ledger itself says that there are none (404); a transaction that is so is None.
    `regions` has every account as one instance of each region has it, asked directly (None: not there);
    `region_errors` says what could not be read so.
    """

    accounts: dict[str, FinalAccount] = {}
    transactions: dict[str, dict[str, Any] | None] = {}
    currency_total: int | None = None
    currency_accounts: int = 0
    proof: dict[str, Any] | None = None
    proof_error: str | None = None
    lag_events: int | None = None
    backlog: int | None = None
    errors: list[str] = []
    absent: list[str] = []
    regions: dict[str, dict[str, RegionalState | None]] = {}
    region_errors: list[str] = []

    def transaction_ids(self) -> set[str]:
        """Every transaction that touched one of the accounts."""
        return {e["transaction_id"] for account in self.accounts.values() for e in account.entries}


class Absent(Exception):
    """The ledger says that there is no such thing (404): an answer, and not a failure to read."""


@dataclass(frozen=True, slots=True)
class FinalReader:
    """Reads through `url`; each read is tried again for up to `patience` seconds.

    What is read is one state of the ledger although it takes many requests: the accounts are read until a second look
    finds each at the version that was read (a double collect: Afek et al., "Atomic snapshots of shared memory", JACM 40
    (1993)). A request whose client gave up may otherwise be posted between two reads, and be seen on one side only.
    """

    client: LedgerClient
    url: str
    patience: float = 10.0

    async def read(self, accounts: Iterable[str], acknowledged: set[str], currency: str) -> FinalReads:
        """Read the accounts with all entries, every transaction in them that no client was told of, every
        transaction that a client was told of but is missing from them, the proof, and the sum over the currency."""
        reads = FinalReads()
        gate = asyncio.Semaphore(READS_AT_ONCE)
        wanted = list(accounts)
        await asyncio.gather(*(self._account(account, reads, gate) for account in wanted))
        await self._settle(wanted, reads, gate)
        found = reads.transaction_ids()
        await asyncio.gather(*(self._transaction(t, reads, gate) for t in sorted(found ^ acknowledged)))
        await self._currency(currency, reads)
        await self._proof(reads)
        return reads

    async def _settle(self, accounts: list[str], reads: FinalReads, gate: asyncio.Semaphore) -> None:
        """Read again whatever changed since it was read, until nothing has."""
        for number in range(ROUNDS):
            if number:
                await asyncio.sleep(PAUSE)
            looks = await asyncio.gather(*(self._changed(account, reads, gate) for account in accounts))
            changed = [account for account, differs in zip(accounts, looks, strict=True) if differs]
            if not changed or reads.errors:
                return
            await asyncio.gather(*(self._account(account, reads, gate) for account in changed))
        reads.errors.append(f"{len(changed)} accounts were still changing after {ROUNDS} looks, with the load off")

    async def _changed(self, account: str, reads: FinalReads, gate: asyncio.Semaphore) -> bool:
        """Whether the account is not as it was read any more: at another version, gone, or back."""
        read = reads.accounts.get(account)
        async with gate:
            try:
                body = await self._get(f"/v1/accounts/{account}", reads)
            except Absent:
                return read is not None
        return body is not None and (read is None or bool(body["version"] != read.version))

    async def _get(self, path: str, reads: FinalReads) -> Any:
        """The body; None where it could not be read, which is among the errors then. Raises Absent."""
        deadline = asyncio.get_running_loop().time() + self.patience
        while True:
            left = deadline - asyncio.get_running_loop().time()
            answer = await self.client.get(self.url + path, timeout=max(PAUSE, left))
            if answer.kind in {"ok", "refused"} or left < 2 * PAUSE:
                break
            await asyncio.sleep(PAUSE)
        if answer.kind == "ok":
            return answer.body
        if answer.status == 404:
            raise Absent(path)
        reads.errors.append(f"GET {path}: {answer.error or answer.status}")
        return None

    async def _account(self, account: str, reads: FinalReads, gate: asyncio.Semaphore) -> None:
        async with gate:
            reads.absent = [other for other in reads.absent if other != account]
            try:
                body = await self._get(f"/v1/accounts/{account}", reads)
            except Absent:
                reads.accounts.pop(account, None)
                reads.absent.append(account)
                return
            if body is None:
                reads.errors.append(f"account {account} could not be read")
                return
            entries: list[dict[str, Any]] = []
            cursor: str | None = ""
            while cursor is not None:
                after = f"&cursor={cursor}" if cursor else ""
                page = None
                with suppress(Absent):
                    page = await self._get(f"/v1/accounts/{account}/entries?limit={PAGE}{after}", reads)
                if page is None:
                    reads.errors.append(f"the entries of account {account} could not be read to the end")
                    return
                entries.extend(_entry(e) for e in page["entries"])
                cursor = page.get("next_cursor")
            entries.sort(key=lambda e: int(e["version"]))
            reads.accounts[account] = FinalAccount(
                account, body["balance"], body["held"], body["floor"], body["version"], entries
            )

    async def _transaction(self, transaction: str, reads: FinalReads, gate: asyncio.Semaphore) -> None:
        async with gate:
            try:
                body = await self._get(f"/v1/transactions/{transaction}", reads)
            except Absent:
                reads.transactions[transaction] = None
                return
            if body is not None:
                key = (body.get("metadata") or {}).get("key")
                reads.transactions[transaction] = {
                    "kind": body["kind"], "key": key, "entries": [_amounts(e) for e in body["entries"]]
                }  # fmt: skip

    async def _currency(self, currency: str, reads: FinalReads) -> None:
        total, count = 0, 0
        cursor: str | None = ""
        while cursor is not None:
            after = f"&cursor={cursor}" if cursor else ""
            answer = await self.client.get(
                f"{self.url}/v1/accounts?currency={currency}&limit={PAGE}{after}", timeout=self.patience
            )
            if answer.kind != "ok":
                return
            page = answer.body
            total += sum(a["balance"] for a in page["accounts"])
            count += len(page["accounts"])
            cursor = page.get("next_cursor")
        reads.currency_total, reads.currency_accounts = total, count

    async def _proof(self, reads: FinalReads) -> None:
        """Ask for a proof until one decides: what was broken may still be finding itself, and a proof then says that it
        could not read the stream, and to try again."""
        now = asyncio.get_running_loop().time
        began = now()
        while True:
            left = began + PROOF_SECONDS - now()
            answer = await self.client.get(f"{self.url}/v1/proof", timeout=max(PAUSE, left))
            if answer.kind == "ok" and isinstance(answer.body, dict):
                reads.proof, reads.proof_error = answer.body, None
                if answer.body.get("result") != "Inconclusive":
                    return
            elif answer.status == TOO_MANY:
                reads.proof_error = reads.proof_error or "others ask for proofs all the time"
            elif reads.proof is None:
                reads.proof_error = answer.error or f"{answer.status} {answer.code or ''}".strip()
                left = min(left, began + self.patience - now())
            if (answer.kind == "refused" and answer.status != TOO_MANY) or left < PROOF_PAUSE:
                return
            await asyncio.sleep(PROOF_PAUSE)


def _entry(entry: dict[str, Any]) -> dict[str, Any]:
    names = ("transaction_id", "version", "amount", "held", "balance_after", "held_after")
    return {name: entry[name] for name in names}


def _amounts(entry: dict[str, Any]) -> dict[str, Any]:
    return {name: entry[name] for name in ("account_id", "version", "amount", "held")}


def final_path(run_dir: Path, scenario: str) -> Path:
    """Where a run keeps a scenario's final reads."""
    return run_dir / "final" / f"{scenario}.json"


def write_final(run_dir: Path, scenario: str, reads: FinalReads) -> None:
    """Keep the final reads."""
    path = final_path(run_dir, scenario)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(msgspec.json.encode(reads))


def read_final(run_dir: Path, scenario: str) -> FinalReads | None:
    """The final reads of a scenario, or None where there were none. Raises UnreadableRun where they are broken."""
    path = final_path(run_dir, scenario)
    try:
        return msgspec.json.decode(path.read_bytes(), type=FinalReads)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        raise UnreadableRun(f"{path} cannot be read: {error}") from error
