"""Many clients after the same money at the same moment: the fault that customers cause."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from random import Random

from chronicle_chaos.faults.fault import Choreography
from chronicle_chaos.injectors.injection import Injection, Observation, UndoLog
from chronicle_chaos.load.operations import Request
from chronicle_chaos.load.stage import Stage
from chronicle_chaos.record.history import Operation


class Contention(Choreography[Stage]):
    """What clients do to each other: the hands are the clients' own, so it is the same on every kind of cluster."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class WithdrawalRounds(Contention):
    """In each of `rounds` rounds `clients` withdrawals of `amount` at once on a new account with `balance`
    (minor units), spread over every API instance. In the history `asked` has `round`.

    The first round is the evidence, the others follow in the window.
    """

    rounds: int = 6
    clients: int = 100
    amount: int = 10
    balance: int = 100

    async def begin(self, hands: Stage, undo: UndoLog, rng: Random) -> Injection:
        """Run the first round."""
        await self._round(hands, 1)
        return Injection(self, tuple(name for name, _ in _instances(hands)))

    async def evidence(self, hands: Stage, injection: Injection) -> Sequence[Observation]:
        """The first round's requests were under way together, on every instance there is."""
        return self._observe(hands, 1)

    async def during(self, hands: Stage, injection: Injection, seconds: float) -> Sequence[Observation]:
        """Run the other rounds, spread evenly over `seconds`."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        others = self.rounds - 1
        seen: list[Observation] = []
        for number in range(1, others + 1):
            await self._round(hands, number + 1)
            seen.extend(self._observe(hands, number + 1))
            await asyncio.sleep(max(0.0, began + seconds * number / others - loop.time()))
        return seen

    async def undo(self, hands: Stage, injection: Injection) -> None:
        """Nothing was broken."""

    async def healed(self, hands: Stage, injection: Injection) -> Sequence[Observation]:
        """No withdrawal is under way any more."""
        under_way = sum(o.completed_ns is None and o.outcome == "info" and o.error is None for o in _withdrawals(hands))
        return [Observation("withdrawals under way", "many", str(under_way), under_way == 0)]

    async def _round(self, stage: Stage, number: int) -> None:
        account = await stage.open_account(self.balance, f"round-{number}")
        instances = cycle(_instances(stage))
        async with asyncio.TaskGroup() as group:
            for one in range(1, self.clients + 1):
                name, url = next(instances)
                key = f"{stage.namespace}/round/{number}/{one}"
                request = Request(
                    "withdrawal", "POST", f"/v1/accounts/{account}/withdrawals", key,
                    {"amount": self.amount, "metadata": {"key": key}},
                    {"account_id": account, "amount": self.amount, "round": number},
                )  # fmt: skip
                client = stage.logical(f"round-{number}-{one}")
                group.create_task(client.perform(request, url, name, stage.recorder.clock.ns()))

    def _observe(self, stage: Stage, number: int) -> tuple[Observation, ...]:
        """All of a round at once, and no fewer: they are begun in one turn of the event loop, before which none of
        their answers can be looked at."""
        round_ = [o for o in _withdrawals(stage) if o.asked["round"] == number]
        peak, reached = peak_under_way(round_), len({o.target for o in round_ if o.status is not None})
        wanted = len(_instances(stage))
        return (
            Observation(f"withdrawals under way at once, round {number}", "0", str(peak), peak >= self.clients),
            Observation(f"instances that answered, round {number}", "0", f"{reached} of {wanted}", reached == wanted),
        )


def _instances(stage: Stage) -> list[tuple[str, str]]:
    regions = stage.target.regions
    direct = [(f"{region}/{n}", url) for region, urls in regions.items() for n, url in enumerate(urls, 1)]
    return direct or [("lb", stage.target.url)]


def _withdrawals(stage: Stage) -> list[Operation]:
    return [o for o in stage.recorder.history().writes if "round" in o.asked]


def peak_under_way(operations: Sequence[Operation]) -> int:
    """The largest number of operations under way at one moment; one that nobody saw end is under way for ever."""
    steps = [(o.invoked_ns, 1) for o in operations]
    steps += [(o.completed_ns, -1) for o in operations if o.completed_ns is not None]
    peak = now = 0
    for _, step in sorted(steps):
        now += step
        peak = max(peak, now)
    return peak
