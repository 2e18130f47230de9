"""Which answers are worth another attempt, and how long to wait before it."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from chronicle_client.errors import ClientError, NoAnswer, Unavailable


@dataclass(frozen=True, slots=True)
class Retries:
    """Attempts go on until `deadline` seconds have passed since the first; 0 allows the first alone.

    The pause before attempt n is random between 0 and `first` · 2ⁿ⁻¹ seconds, at most `longest` (full jitter: Marc
    Brooker, "Exponential Backoff and Jitter", 2015), and not shorter than the answer's Retry-After.
    """

    deadline: float = 30.0
    first: float = 0.1
    longest: float = 5.0
    random: random.Random = field(default_factory=random.SystemRandom, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Check. Raises ValueError for a negative number."""
        if not (self.deadline >= 0 and self.first >= 0 and self.longest >= 0):
            raise ValueError("deadline, first and longest are seconds, 0 or more")

    def pause(self, error: ClientError, attempt: int, elapsed: float, after: float = 0.0) -> float | None:
        """Return how many seconds to wait after attempt number `attempt` (from 1) failed, or None to give up.

        `elapsed` is seconds since the first attempt began; `after` is what the answer's Retry-After asks for.
        """
        if not isinstance(error, NoAnswer | Unavailable):
            return None
        growing = min(self.longest, self.first * float(2 ** min(attempt - 1, 30)))
        wait = max(after, self.random.uniform(0, growing))
        return wait if elapsed + wait < self.deadline else None
