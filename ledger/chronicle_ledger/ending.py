"""Ending the helper tasks of a process."""

from __future__ import annotations

import asyncio
from typing import Any

ASK_AGAIN_SECONDS = 1.0


async def end(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks that have nothing to clean up, and wait until they have ended; what they raise is dropped.

    Asked again until it is so: before Python 3.12 `asyncio.wait_for`, by which nats-py and the pool of psycopg wait,
    can lose a cancellation that comes as what it waits for is done (python/cpython#86296), and a loop then runs for
    ever.
    """
    while left := {task for task in tasks if not task.done()}:
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=ASK_AGAIN_SECONDS)
    await asyncio.gather(*tasks, return_exceptions=True)
