"""One reconcile at a time for each ledger, as soon as something changed, again later if it failed.

Waking a ledger that waits costs nothing; waking one that is being reconciled makes it run once more afterwards, so no
change is missed and a storm of changes makes two runs, not a hundred. Failures wait 1, 2, 4 … seconds, up to a ceiling.
The queue knows how long its runs take: liveness asks it whether one hangs.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import NamedTuple


class LedgerKey(NamedTuple):
    """What identifies a ChronicleLedger in a cluster."""

    namespace: str
    name: str


Reconcile = Callable[[LedgerKey], Awaitable[float | None]]
"""Reconcile once; returns the seconds after which to look again without being woken, or None. Raises to be retried."""

Clock = Callable[[], float]


@dataclass
class _Work:
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None
    started: float | None = None
    failures: int = 0
    closing: bool = False


class WorkQueue:
    """Runs `reconcile` for each key that was woken."""

    def __init__(
        self,
        reconcile: Reconcile,
        *,
        clock: Clock,
        settle_seconds: float = 0.5,
        run_limit_seconds: float = 120.0,
        retry_ceiling_seconds: float = 60.0,
        on_failure: Callable[[LedgerKey, Exception], None] = lambda key, error: None,  # noqa: ARG005
    ) -> None:
        """`settle_seconds`: pause after a wake-up so that changes that come in a burst share one run.

        `run_limit_seconds` bounds one run; past it the run is cancelled and counts as failed.
        """
        self._reconcile = reconcile
        self._clock = clock
        self._settle = settle_seconds
        self._limit = run_limit_seconds
        self._ceiling = retry_ceiling_seconds
        self._on_failure = on_failure
        self._work: dict[LedgerKey, _Work] = {}

    def wake(self, key: LedgerKey) -> None:
        """Have `key` reconciled soon."""
        work = self._work.get(key)
        if work is None or work.task is None or work.task.done():
            work = self._work[key] = _Work()
            work.task = asyncio.create_task(self._serve(key, work), name=f"reconcile {key.namespace}/{key.name}")
        work.wake.set()

    def forget(self, key: LedgerKey) -> None:
        """Stop serving a ledger that is gone. A run in progress finishes."""
        work = self._work.pop(key, None)
        if work is not None:
            work.closing = True
            work.wake.set()

    def keys(self) -> list[LedgerKey]:
        """Return what is being served."""
        return list(self._work)

    def waiting(self) -> int:
        """Return how many ledgers were woken and are not running yet."""
        return sum(1 for work in self._work.values() if work.wake.is_set() and work.started is None)

    def longest_run(self) -> float:
        """Return for how many seconds the oldest run in progress has been going."""
        now = self._clock()
        return max((now - work.started for work in self._work.values() if work.started is not None), default=0.0)

    async def close(self) -> None:
        """Stop everything; runs in progress are cancelled (a reconcile may stop anywhere)."""
        tasks = [work.task for work in self._work.values() if work.task is not None]
        self._work.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, key: LedgerKey, work: _Work) -> None:
        pause: float | None = None
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await work.wake.wait()
            if work.closing:
                return
            if self._settle:
                await asyncio.sleep(self._settle)
            work.wake.clear()
            pause = await self._run(key, work)

    async def _run(self, key: LedgerKey, work: _Work) -> float | None:
        work.started = self._clock()
        try:
            async with asyncio.timeout(self._limit):
                pause = await self._reconcile(key)
        except Exception as error:  # noqa: BLE001 - a ledger's trouble must not end its service, whatever it is
            work.failures += 1
            self._on_failure(key, error)
            asked = getattr(error, "retry_after", None) or getattr(error, "retry_seconds", 1.0)
            return float(min(self._ceiling, asked * 2 ** min(work.failures - 1, 10)))
        else:
            work.failures = 0
            return pause
        finally:
            work.started = None
