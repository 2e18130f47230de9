"""The load: requests at a given rate, whether or not earlier ones were answered (an open loop)."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from random import Random

from chronicle_chaos.load.client import LedgerClient
from chronicle_chaos.load.logical import LogicalClient, Patience
from chronicle_chaos.load.operations import Operations, Request
from chronicle_chaos.record.clock import nanoseconds
from chronicle_chaos.record.history import Recorder

LOAD_BALANCER = "lb"
"""The `target` in the history of everything that went through the load balancer."""


@dataclass(slots=True)
class Workload:
    """Sends `rate` requests a second to `url` until stopped.

    Each goes to a logical client that is free; one is added where none is, so a stall never slows the arrivals. Past
    `limit` requests under way the next is recorded as not sent, because a real client population is finite too, and
    such a request counts against availability.
    """

    client: LedgerClient
    recorder: Recorder
    operations: Operations
    url: str
    rate: float
    rng: Random
    patience: Patience = field(default_factory=Patience)
    limit: int = 4000
    _free: deque[LogicalClient] = field(default_factory=deque)
    _under_way: set[asyncio.Task[None]] = field(default_factory=set)
    _clients: int = 0
    _stopped: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Send until `stop` is called. Arrivals keep to the schedule: after a hiccup of this process the late ones go
        out at once, with the start that was intended for them."""
        interval = nanoseconds(1 / self.rate)
        intended = self.recorder.clock.ns()
        while not self._stopped.is_set():
            now = self.recorder.clock.ns()
            while intended <= now:
                self._arrive(self.operations.draw(), intended)
                intended += interval
            await asyncio.sleep((intended - self.recorder.clock.ns()) / 1e9)

    def stop(self) -> None:
        """No further arrivals; what is under way goes on (see `drain`)."""
        self._stopped.set()

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stopped.is_set()

    async def drain(self, seconds: float) -> int:
        """Wait for what is under way, at most `seconds`; the rest is given up as `info`. Returns how many were."""
        if not self._under_way:
            return 0
        _, rest = await asyncio.wait(set(self._under_way), timeout=seconds)
        for task in rest:
            task.cancel()
        if rest:
            await asyncio.wait(rest)
        return len(rest)

    def _arrive(self, request: Request, intended_ns: int) -> None:
        if len(self._under_way) >= self.limit:
            self._refuse(request, intended_ns)
            return
        task = asyncio.create_task(self._serve(self._take(), request, intended_ns))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    def _refuse(self, request: Request, intended_ns: int) -> None:
        self._clients += 1
        name, target = f"client-{self._clients}", LOAD_BALANCER
        self.recorder.record(
            name, "invoke", request.f, key=request.key, value=request.value, target=target, intended_ns=intended_ns
        )
        error = f"{self.limit} requests were under way already"
        self.recorder.record(name, "fail", request.f, key=request.key, target=target, code="not_sent", error=error)

    def _take(self) -> LogicalClient:
        if self._free:
            return self._free.popleft()
        self._clients += 1
        return LogicalClient(f"client-{self._clients}", self.client, self.recorder, self.rng, self.patience)

    async def _serve(self, client: LogicalClient, request: Request, intended_ns: int) -> None:
        outcome, answered = await client.perform(request, self.url, LOAD_BALANCER, intended_ns)
        if outcome == "ok":
            self.operations.learn(request, answered)
        if outcome != "info":
            self._free.append(client)
