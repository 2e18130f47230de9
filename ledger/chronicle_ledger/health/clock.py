"""The clock of this process, beside the database's."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any

from chronicle_ledger.domain.errors import DatabaseUnavailable
from chronicle_ledger.posting.clocks import Clocks, Reading

PATIENCE = 1.0
"""Seconds that an answer is waited for; less than a component has (`health.py`)."""

SILENT: Mapping[str, Any] = {"status": "degraded", "error": "the database does not say its time"}


class ClockComponent:
    """Down where the clocks differ so much that postings are refused; degraded from half of that on.

    A database that is silent says nothing of clocks: the last finding stays, and its own component says the rest.
    `ask` gives the database's time, or raises DatabaseUnavailable.
    """

    name = "clock"
    vital = True

    def __init__(self, ask: Callable[[], Awaitable[datetime]], clocks: Clocks, patience: float = PATIENCE) -> None:
        self._ask = ask
        self._clocks = clocks
        self._patience = patience
        self._last = SILENT
        self._look: asyncio.Task[None] | None = None

    async def probe(self) -> Mapping[str, Any]:
        """By how much the clocks differ at least, and how much is tolerated, in seconds."""
        if self._look is None or self._look.done():
            self._look = asyncio.create_task(self._read(), name="health: reading the database's time")
        # Not cancelled: the driver's answer to that may take longer than the answer.
        await asyncio.wait({self._look}, timeout=self._patience)
        return self._last

    async def _read(self) -> None:
        before = self._clocks.own()
        try:
            moment = await self._ask()
        except DatabaseUnavailable:
            return
        self._last = self.judge(Reading(before, moment, self._clocks.own()))

    def judge(self, reading: Reading) -> Mapping[str, Any]:
        """The finding of one reading."""
        tolerance = self._clocks.tolerance
        skew = reading.skew
        figures = {"skew_seconds": round(skew, 3), "tolerance_seconds": tolerance}
        if abs(skew) <= tolerance / 2:
            return {"status": "ok", **figures}
        error = f"this clock is {abs(skew):.1f} s {'ahead of' if skew > 0 else 'behind'} the database's: set the clocks"
        return {"status": "down" if abs(skew) > tolerance else "degraded", "error": error, **figures}
