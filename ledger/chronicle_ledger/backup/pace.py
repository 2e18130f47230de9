"""A bound on transactions per second."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable


class Pace:
    """Waits so that no more than `per_second` are taken on average. None: no bound."""

    def __init__(
        self,
        per_second: float | None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._per_second = per_second
        self._clock = clock
        self._sleep = sleep
        self._due = clock()

    async def took(self, count: int) -> None:
        """Wait until `count` more are due. Time in which nothing was taken gives no credit."""
        if self._per_second is None or not count:
            return
        now = self._clock()
        self._due = max(self._due, now) + count / self._per_second
        await self._sleep(self._due - now)
