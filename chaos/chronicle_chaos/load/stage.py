"""What the parts of a scenario act on: the target, a client, the history, randomness, and the accounts under test."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from random import Random
from typing import Any

from chronicle_chaos.errors import TargetUnusable
from chronicle_chaos.load.client import LedgerClient
from chronicle_chaos.load.logical import LogicalClient, Patience
from chronicle_chaos.load.operations import CURRENCY, Request
from chronicle_chaos.load.workload import LOAD_BALANCER
from chronicle_chaos.record.history import Recorder
from chronicle_chaos.target import Target

OPENED = "open"
"""The operation that opens an account; its answer says which."""


@dataclass(slots=True)
class Stage:
    """`namespace` begins every idempotency key, so that runs never meet. `accounts` are read at the end."""

    target: Target
    client: LedgerClient
    recorder: Recorder
    rng: Random
    namespace: str
    patience: Patience = field(default_factory=Patience)
    accounts: list[str] = field(default_factory=list)
    _count: int = 0

    def logical(self, name: str, patience: Patience | None = None) -> LogicalClient:
        """A logical client of this stage."""
        return LogicalClient(name, self.client, self.recorder, self.rng, patience or self.patience)

    async def open_account(self, balance: int, process: str = "setup") -> str:
        """Open an account with a balance in minor units (no floor but 0). Raises TargetUnusable where that fails."""
        self._count += 1
        client = self.logical(f"{process}-{self._count}")
        key = f"{self.namespace}/{process}/{self._count}"
        request = Request(
            OPENED, "POST", "/v1/accounts", key, {"currency": CURRENCY, "metadata": {"key": key}}, {"floor": 0}
        )
        opened = await self._must(client, request)
        account = str(opened["account_id"])
        self.accounts.append(account)
        if balance:
            body = {"amount": balance, "metadata": {"key": f"{key}/fund"}}
            value = {"amount": balance, "account_id": account}
            await self._must(
                client, Request("deposit", "POST", f"/v1/accounts/{account}/deposits", f"{key}/fund", body, value)
            )
        return account

    async def open_accounts(self, number: int, balance: int) -> list[str]:
        """Open several at once."""
        return list(await asyncio.gather(*(self.open_account(balance) for _ in range(number))))

    async def _must(self, client: LogicalClient, request: Request) -> dict[str, Any]:
        outcome, answered = await client.perform(request, self.target.url, LOAD_BALANCER, self.recorder.clock.ns())
        if outcome != "ok":
            last = self.recorder.events[-1]
            raise TargetUnusable(
                f"{request.method} {request.path} at {self.target.url} ended in"
                f" {last.code or last.status or last.error} ({last.error});"
                " is the ledger up, and may the key write?"
            )
        return answered
