"""Time, passed in: nanoseconds since a run began, and the wall clock that they stand for."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta


@dataclass(frozen=True, slots=True)
class RunClock:
    """The clock of one run. Wall times derive from the monotonic reading, so that both always tell the same story
    (a wall clock that is set during a run would otherwise move events)."""

    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    monotonic_ns: Callable[[], int] = time.monotonic_ns
    origin_ns: int = field(default_factory=time.monotonic_ns)

    def ns(self) -> int:
        """Nanoseconds since the run began."""
        return self.monotonic_ns() - self.origin_ns

    def at(self, t_ns: int) -> str:
        """The wall time of `t_ns`, as RFC 3339 in UTC with milliseconds."""
        return rfc3339(self.started_at + timedelta(microseconds=t_ns // 1000))

    def now(self) -> str:
        """The wall time of this moment, as RFC 3339 in UTC with milliseconds."""
        return self.at(self.ns())


def rfc3339(moment: datetime) -> str:
    """Format a moment in UTC with milliseconds and a `Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def seconds(ns: int) -> float:
    """Nanoseconds as seconds."""
    return ns / 1e9


def nanoseconds(amount: float) -> int:
    """Seconds as nanoseconds."""
    return int(amount * 1e9)
