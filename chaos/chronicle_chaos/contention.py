"""Many clients after the same money at the same moment: the fault that customers cause."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import cycle
from random import Random

from chronicle_chaos.faults import Fault
from chronicle_chaos.history import Operation
from chronicle_chaos.injection import Evidence, Fidelity, Injection, Injector, Observation, UndoLog
from chronicle_chaos.operations import Request
from chronicle_chaos.stage import Stage

FIDELITY: dict[str, Fidelity] = {"local": "process", "compose": "container", "cluster": "cluster"}


@dataclass(frozen=True, slots=True)
class WithdrawalRounds:
    """In each of `rounds` rounds `clients` withdrawals of `amount` at once on a new account with `balance`
    (minor units), spread over every API instance. In the history `asked` has `round`."""

    rounds: int = 6
    clients: int = 100
    amount: int = 10
    balance: int = 100

    def injector(self, stage: Stage) -> Injector:
        """What takes the injector's place."""
        return ContentionInjector(self, stage, FIDELITY[stage.target.kind])


@dataclass(slots=True)
class ContentionInjector:
    """The first round is the evidence, the others follow in the window. There is nothing to heal."""

    what: WithdrawalRounds
    stage: Stage
    fidelity: Fidelity
    name: str = "Workload"
    _done: int = field(default=0)

    async def preflight(self, fault: Fault) -> None:
        """Nothing to check: every ledger can be asked by many at once."""
        del fault

    async def inject(self, fault: Fault, undo: UndoLog, rng: Random) -> Injection:
        """Run the first round."""
        del undo, rng
        await self._round()
        return Injection(fault, tuple(name for name, _ in self._instances()))

    async def evidence(self, injection: Injection) -> Evidence:
        """That the first round's requests were under way together, on every instance there is."""
        del injection
        return Evidence(self._observe(1))

    async def during(self, injection: Injection, seconds: float) -> Sequence[Observation]:
        """Run the other rounds, spread evenly over `seconds`."""
        del injection
        loop = asyncio.get_running_loop()
        began = loop.time()
        others = self.what.rounds - 1
        found: list[Observation] = []
        for number in range(1, others + 1):
            await self._round()
            found.extend(self._observe(self._done))
            await asyncio.sleep(max(0.0, began + seconds * number / others - loop.time()))
        return found

    async def heal(self, injection: Injection) -> None:
        """Nothing was broken."""
        del injection

    async def healed(self, injection: Injection) -> Evidence:
        """Nothing was broken: no withdrawal is under way any more."""
        del injection
        under_way = sum(o.completed_ns is None and o.outcome == "info" and o.error is None for o in self._withdrawals())
        return Evidence((Observation("withdrawals under way", "many", str(under_way), under_way == 0),))

    async def _round(self) -> None:
        self._done += 1
        number = self._done
        account = await self.stage.open_account(self.what.balance, f"round-{number}")
        instances = cycle(self._instances())
        async with asyncio.TaskGroup() as group:
            for one in range(1, self.what.clients + 1):
                name, url = next(instances)
                key = f"{self.stage.namespace}/round/{number}/{one}"
                request = Request(
                    "withdrawal", "POST", f"/v1/accounts/{account}/withdrawals", key,
                    {"amount": self.what.amount, "metadata": {"key": key}},
                    {"account_id": account, "amount": self.what.amount, "round": number},
                )  # fmt: skip
                client = self.stage.logical(f"round-{number}-{one}")
                group.create_task(client.perform(request, url, name, self.stage.recorder.clock.ns()))

    def _instances(self) -> list[tuple[str, str]]:
        regions = self.stage.target.regions
        direct = [(f"{region}/{n}", url) for region, urls in regions.items() for n, url in enumerate(urls, 1)]
        return direct or [("lb", self.stage.target.url)]

    def _withdrawals(self) -> list[Operation]:
        return [o for o in self.stage.recorder.history().writes if "round" in o.asked]

    def _observe(self, number: int) -> tuple[Observation, ...]:
        """All of a round at once, and no fewer: they are begun in one turn of the event loop, before which none of
        their answers can be looked at."""
        round_ = [o for o in self._withdrawals() if o.asked["round"] == number]
        peak, reached = peak_under_way(round_), len({o.target for o in round_ if o.status is not None})
        wanted = len(self._instances())
        return (
            Observation(f"withdrawals under way at once, round {number}", "0", str(peak), peak >= self.what.clients),
            Observation(f"instances that answered, round {number}", "0", f"{reached} of {wanted}", reached == wanted),
        )


def peak_under_way(operations: Sequence[Operation]) -> int:
    """The largest number of operations under way at one moment; one that nobody saw end is under way for ever."""
    steps = [(o.invoked_ns, 1) for o in operations]
    steps += [(o.completed_ns, -1) for o in operations if o.completed_ns is not None]
    peak = now = 0
    for _, step in sorted(steps):
        now += step
        peak = max(peak, now)
    return peak
