"""What each region says of the accounts once load is off: the same question, asked of one instance of each."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from chronicle_chaos.load.client import LedgerClient
from chronicle_chaos.record.final import PAUSE, READS_AT_ONCE, ROUNDS, FinalReads, RegionalState


@dataclass(frozen=True, slots=True)
class RegionReader:
    """Reads past the load balancer; each read is tried again for up to `patience` seconds.

    Regions that differ are read again a few times: a request whose client gave up may be posted between the reads of
    one region and the next. Regions that do not agree stay different however often they are asked.
    """

    client: LedgerClient
    regions: Mapping[str, Sequence[str]]
    patience: float = 10.0

    async def read(self, accounts: Iterable[str], reads: FinalReads) -> None:
        """Fill in `regions` and `region_errors`. With fewer than two regions there is nobody to agree, and nothing is
        read."""
        instances = {region: urls[0] for region, urls in self.regions.items() if urls}
        if len(instances) < 2:
            return
        wanted = list(accounts)
        for number in range(ROUNDS):
            if number:
                await asyncio.sleep(PAUSE)
            reads.regions, reads.region_errors = {}, []
            gate = asyncio.Semaphore(READS_AT_ONCE)
            for region, url in instances.items():
                reads.regions[region] = {}
                await asyncio.gather(*(self._state(region, url, account, reads, gate) for account in wanted))
            first, *others = reads.regions.values()
            if reads.region_errors or all(first == other for other in others):
                return

    async def _state(self, region: str, url: str, account: str, reads: FinalReads, gate: asyncio.Semaphore) -> None:
        async with gate:
            answer = await self.client.get(f"{url}/v1/accounts/{account}", timeout=self.patience)
        if answer.kind == "ok":
            body = answer.body
            reads.regions[region][account] = RegionalState(body["version"], body["balance"], body["held"])
        elif answer.status == 404:
            reads.regions[region][account] = None
        else:
            reads.region_errors.append(f"{region}: account {account}: {answer.error or answer.status}")
