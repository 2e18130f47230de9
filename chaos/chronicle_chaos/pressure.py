"""Clients that always have a request under way, so that whatever is killed is killed in the middle of one."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from random import Random

from chronicle_chaos.operations import Mix, Operations
from chronicle_chaos.scenarios.scenario import Act
from chronicle_chaos.seeds import seeded
from chronicle_chaos.stage import Stage
from chronicle_chaos.workload import LOAD_BALANCER


@dataclass(frozen=True, slots=True)
class Pressure:
    """`clients` logical clients in a closed loop through the load balancer, each with a pause of `pause` seconds."""

    clients: int = 12
    pause: float = 0.05

    async def prepare(self, stage: Stage) -> Act:
        """Nothing to open: they write to the accounts of the load."""

        async def act(seconds: float) -> None:
            async with asyncio.TaskGroup() as group:
                for number in range(self.clients):
                    group.create_task(self._client(stage, number, seeded(stage.rng.random()), seconds))

        return act

    async def _client(self, stage: Stage, number: int, rng: Random, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        mix = Mix(conditional=0, hold=0, settle=0, read=0)
        operations = Operations(rng, tuple(stage.accounts), f"{stage.namespace}/pressure/{number}", mix)
        name = f"pressure-{number}"
        while loop.time() < until:
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
