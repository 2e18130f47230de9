"""Clients that always have a request under way, so that whatever is killed is killed in the middle of one."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from random import Random

from chronicle_chaos.load.operations import Mix, Operations
from chronicle_chaos.load.seeds import seeded
from chronicle_chaos.load.stage import Stage
from chronicle_chaos.load.workload import LOAD_BALANCER


@dataclass(frozen=True, slots=True)
class Pressure:
    """`clients` logical clients in a closed loop through the load balancer, each with a pause of `pause` seconds.

    They write to the accounts of the load.
    """

    clients: int = 12
    pause: float = 0.05

    async def run(self, stage: Stage, over: asyncio.Event) -> None:
        """Keep asking until `over` is set, and then until what is under way was answered."""
        async with asyncio.TaskGroup() as group:
            for number in range(self.clients):
                group.create_task(self._client(stage, number, seeded(stage.rng.random()), over))

    async def _client(self, stage: Stage, number: int, rng: Random, over: asyncio.Event) -> None:
        mix = Mix(conditional=0, hold=0, settle=0, read=0)
        operations = Operations(rng, tuple(stage.accounts), f"{stage.namespace}/pressure/{number}", mix)
        name = f"pressure-{number}"
        while not over.is_set():
            client = stage.logical(name)
            request = operations.draw()
            outcome, answered = await client.perform(
                request, stage.target.url, LOAD_BALANCER, stage.recorder.clock.ns()
            )
            if outcome == "ok":
                operations.learn(request, answered)
            elif outcome == "info":
                name += "'"  # the old process may still act; the next is another
            await asyncio.sleep(self.pause)
