"""Whether the operator still does its work: a process that answers is not one that reconciles.

Three things can stall unseen. A reconcile can hang: its age tells. The resync can die while the process lives on: it
leaves a heartbeat. The watches can end: they are counted. Each makes `/livez` answer 503, and Kubernetes starts the pod
anew; whatever was in progress goes on from what is in the cluster.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from chronicle_operator.reconcile.workqueue import Clock


@dataclass
class Heartbeat:
    """When the resync last finished. `limit_seconds` is the age past which it counts as dead.

    The clock runs from the start: a first resync that never ends is a stall too.
    """

    clock: Clock
    limit_seconds: float
    last: float | None = None
    begun: float = field(init=False)

    def __post_init__(self) -> None:
        """Start the clock."""
        self.begun = self.clock()

    def beat(self) -> None:
        """Record that the resync is alive."""
        self.last = self.clock()

    @property
    def age(self) -> float:
        """Return the seconds since the last beat, or since the start."""
        return self.clock() - (self.begun if self.last is None else self.last)


UNWATCHED_SECONDS = 60.0
"""How long there may be no watch at all: Kopf begins them after its start, and once more after new credentials."""


@dataclass
class Watching:
    """When there was a watch last. The clock runs from the start: watches that never begin are a stall too."""

    clock: Clock
    count: Callable[[], int]
    last: float = field(init=False)

    def __post_init__(self) -> None:
        """Start the clock."""
        self.last = self.clock()

    @property
    def without(self) -> float:
        """Return for how many seconds, up to now, each look has met no watch."""
        if self.count():
            self.last = self.clock()
        return self.clock() - self.last


@dataclass(frozen=True)
class Liveness:
    """Judges heartbeat, the oldest run and the watches."""

    heartbeat: Heartbeat
    longest_run: Callable[[], float]
    run_limit_seconds: float
    watching: Watching

    def trouble(self) -> str | None:
        """Return what has stalled, None when nothing has."""
        if self.heartbeat.age > self.heartbeat.limit_seconds:
            return f"no resync for {self.heartbeat.age:.0f} s (limit {self.heartbeat.limit_seconds:.0f} s)"
        if self.longest_run() > self.run_limit_seconds:
            return f"a reconcile has been going for {self.longest_run():.0f} s (limit {self.run_limit_seconds:.0f} s)"
        if (without := self.watching.without) > UNWATCHED_SECONDS:
            return f"nothing has been watched for {without:.0f} s (limit {UNWATCHED_SECONDS:.0f} s)"
        return None
