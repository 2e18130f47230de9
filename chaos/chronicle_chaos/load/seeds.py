"""Randomness that repeats: every use has a generator of its own, named for its purpose."""

from __future__ import annotations

from random import Random


def seeded(seed: str | float) -> Random:
    """A generator that gives the same draws for the same seed, on every machine."""
    return Random(seed)  # noqa: S311 - repeating is the purpose; nothing here is a secret
