"""Figures by second, as pure functions of a scenario's history: what the charts draw and the page's tables print.

Throughput counts an operation in the second in which it ended; latency counts it in the second in which it was meant
to begin, so a server that stalls shows as slow from the moment of the stall (coordinated omission).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from chronicle_chaos.record import figures
from chronicle_chaos.record.history import History, Operation
from chronicle_chaos.record.timeline import timeline

SECOND = 1_000_000_000
LONGEST_SECONDS = 3600
"""More buckets than this are not drawn; the history has them all."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Operations that ended within one second, by outcome."""

    ok: int = 0
    info: int = 0
    fail: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.ok + self.info + self.fail


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds from the intended start to the last answer, or to giving up, of one second's operations."""

    p50: float
    p95: float
    p99: float
    max: float


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment of the fault, in seconds since the series began. `name` is injected, proven, healed or steady."""

    name: str
    at: float


@dataclass(frozen=True, slots=True)
class Series:
    """One chart's data. `counts` and `latency` have one element a second, from `start_ns` of the run on."""

    name: str
    start_ns: int
    counts: tuple[Counts, ...]
    latency: tuple[Latency | None, ...]
    marks: tuple[Mark, ...]

    @property
    def seconds(self) -> int:
        """How long it is."""
        return len(self.counts)

    @property
    def busiest(self) -> int:
        """The most operations that ended within one second."""
        return max((c.total for c in self.counts), default=0)

    @property
    def total(self) -> Counts:
        """The sum of all seconds."""
        return Counts(*(sum(getattr(c, name) for c in self.counts) for name in ("ok", "info", "fail")))

    @property
    def fault(self) -> tuple[float, float] | None:
        """From the injection to the healing (or the end), in seconds; None where nothing was injected."""
        at = {m.name: m.at for m in self.marks}
        return (at["injected"], at.get("healed", float(self.seconds))) if "injected" in at else None


def all_series(history: History) -> tuple[Series, ...]:
    """A series of what went through the load balancer, then one for each region that was asked directly.

    Empty without any operation of a client. Instances of one region (`region-a/1`, `region-a/2`) are counted together.
    """
    groups: dict[str, list[Operation]] = {}
    for operation in history.clients:
        groups.setdefault((operation.target or "lb").split("/")[0], []).append(operation)
    names = sorted(groups, key=lambda name: (name != "lb", name))
    if not names:
        return ()
    times = timeline(history)
    begin = times.load_on if times.load_on is not None else min(o.intended_ns for o in history.clients)
    end = max([times.load_off or begin, *(e.t_ns for e in history.events)])
    buckets = min(LONGEST_SECONDS, (end - begin) // SECOND + 1)
    marks = _marks(history, begin)
    return tuple(_series(name, groups[name], begin, end, buckets, marks) for name in names)


def _series(
    name: str, operations: Sequence[Operation], begin: int, end: int, buckets: int, marks: tuple[Mark, ...]
) -> Series:
    tally = [{"ok": 0, "info": 0, "fail": 0} for _ in range(buckets)]
    slow: list[list[int]] = [[] for _ in range(buckets)]
    for o in operations:
        # What never ended is unknown at the end of the run; leaving it out would hide it.
        ended = _bucket(o.ended_ns if o.ended_ns is not None else end, begin, buckets)
        if ended is not None:
            tally[ended][o.outcome] += 1
        asked = _bucket(o.intended_ns, begin, buckets)
        if asked is not None and o.latency_ns is not None:
            slow[asked].append(max(0, o.latency_ns))
    counts = tuple(Counts(**one) for one in tally)
    return Series(name, begin, counts, tuple(_latency(values) for values in slow), marks)


def _bucket(t_ns: int, begin: int, buckets: int) -> int | None:
    number = (t_ns - begin) // SECOND
    return number if 0 <= number < buckets else None


def _latency(values: Sequence[int]) -> Latency | None:
    if not values:
        return None
    return Latency(*(round(figures.percentile(values, share) / 1e6, 3) for share in (0.5, 0.95, 0.99, 1.0)))


def _marks(history: History, begin: int) -> tuple[Mark, ...]:
    times = timeline(history)
    moments: Iterable[tuple[str, int | None]] = (
        ("injected", times.inject_asked),
        ("proven", times.proven),
        ("healed", times.healed if times.healed is not None else times.heal_asked),
        ("steady", times.recovered),
    )
    return tuple(Mark(name, round((t - begin) / SECOND, 3)) for name, t in moments if t is not None)
