"""Waiting before the next try: exponential, with full jitter (Brooker, "Exponential Backoff And Jitter", AWS 2015)."""

from __future__ import annotations

import random
from dataclasses import dataclass, field


@dataclass(slots=True)
class Backoff:
    """Seconds to wait after one failure after another: between 0 and `first`·2ⁿ, `most` at the highest."""

    first: float = 0.05
    most: float = 2.0
    source: random.Random = field(default_factory=random.Random)
    failures: int = 0

    def after_failure(self) -> float:
        """Count a failure and return the seconds to wait."""
        ceiling = min(self.most, self.first * 2**self.failures)
        self.failures = min(self.failures + 1, 30)
        return self.source.uniform(min(self.first / 2, ceiling), ceiling)

    def after_success(self) -> None:
        """Begin anew."""
        self.failures = 0


@dataclass(slots=True)
class Pace:
    """How long to idle between looks: short right after work, longer the longer nothing comes.

    Each look is a statement that reads the tombstones of what was deleted before. At a few events a second, looking
    every few milliseconds costs the database more than the events do; a quarter of a second is what the first event
    after a pause may wait.
    """

    shortest: float = 0.05
    longest: float = 0.25
    seconds: float = 0.05

    def found(self, *, all_of_it: bool) -> float:
        """Something was there: return how many seconds to idle, none where that was not `all_of_it`."""
        self.seconds = self.shortest
        return self.shortest if all_of_it else 0.0

    def empty(self) -> float:
        """Nothing was there: return how many seconds to idle."""
        now = self.seconds
        self.seconds = min(self.longest, self.seconds * 2)
        return now
