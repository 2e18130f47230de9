"""Writes sent straight to the API instances of each region, past the load balancer, while a fault lasts."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from itertools import cycle

from chronicle_chaos.load.logical import Patience
from chronicle_chaos.load.operations import Request
from chronicle_chaos.load.stage import Stage
from chronicle_chaos.scenarios.scenario import Act


@dataclass(frozen=True, slots=True)
class RegionProbes:
    """One deposit of 1 to each region every `interval` seconds, with one attempt and `deadline` seconds to answer.

    Each is a process of its own, so one that hangs does not keep the next from being sent. In the history `asked` has
    `probe`: the region's name.
    """

    regions: tuple[str, ...]
    interval: float = 0.75
    deadline: float = 10.0

    async def prepare(self, stage: Stage) -> Act:
        """Open an account for each region."""
        accounts = {region: await stage.open_account(0, f"probe-{region}") for region in self.regions}

        async def act(seconds: float) -> None:
            # Whoever was asked must have been able to answer before the fault is taken away.
            sending = max(seconds / 2, seconds - self.deadline)
            async with asyncio.TaskGroup() as group:
                for region, account in accounts.items():
                    group.create_task(self._probe(stage, region, account, sending))

        return act

    async def _probe(self, stage: Stage, region: str, account: str, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        patience = Patience(attempt=self.deadline, total=self.deadline, attempts=1)
        urls = cycle(enumerate(stage.target.regions.get(region, ()), 1))
        async with asyncio.TaskGroup() as group:
            number = 0
            while loop.time() < until:
                number += 1
                instance, url = next(urls)
                key = f"{stage.namespace}/probe/{region}/{number}"
                request = Request(
                    "deposit", "POST", f"/v1/accounts/{account}/deposits", key,
                    {"amount": 1, "metadata": {"key": key}}, {"account_id": account, "amount": 1, "probe": region},
                )  # fmt: skip
                client = stage.logical(f"probe-{region}-{number}", patience)
                group.create_task(client.perform(request, url, f"{region}/{instance}", stage.recorder.clock.ns()))
                await asyncio.sleep(self.interval)
