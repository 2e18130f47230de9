"""When instances crash in a window, and what is said of a crash that could not be done."""

from __future__ import annotations

from random import Random

from chronicle_chaos.injection import Observation

SHARE = 0.8
"""Of the window: whoever is hit last is to come back in the rest, and a crash that had to wait finds its time."""

LATE_SECONDS = 20.0
"""How long past the window a crash may still wait for whoever was hit before it to be back, where a busy machine starts
slowly. Less than the phase has to spare."""


def moments(rng: Random, times: int, seconds: float) -> list[float]:
    """Seconds since the window's beginning, one random moment in each of `times` equal parts of the window's share."""
    return [(part + rng.random()) * SHARE * seconds / times for part in range(times)]


def not_done(first: int, last: int, why: str) -> list[Observation]:
    """One observation for each crash from number `first` to `last`: a run with fewer crashes than were asked for has
    not shown its fault."""
    return [Observation(f"crash {number}", "to be done", why, shows_fault=False) for number in range(first, last + 1)]
