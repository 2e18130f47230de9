"""What clients do from before a fault until it is healed, beside the load."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from chronicle_chaos.load.stage import Stage
from chronicle_chaos.scenarios.scenario import Background


@asynccontextmanager
async def under_way(background: Sequence[Background], stage: Stage) -> AsyncIterator[None]:
    """Run all of `background` while the context is open; at its end, wait until what they asked was answered.

    On the way out with an error nobody waits, and what is under way is given up. An error of their own is the
    scenario's: the fault was not what it should have been.
    """
    over = asyncio.Event()
    tasks = [asyncio.create_task(it.run(stage, over)) for it in background]
    try:
        yield
        over.set()
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
