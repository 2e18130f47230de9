"""Healing step by step: one that fails keeps no other from being taken, and a person is told of all that failed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from chronicle_chaos.injectors.injection import CleanupFailed


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to take back. `what` is left as it was where `take` raises; `remedy` and `subject` are the command that
    a person runs then (steps with one remedy become one command)."""

    what: str
    take: Callable[[], Awaitable[None]]
    remedy: str
    subject: str = ""


async def take_all(steps: Sequence[Step]) -> None:
    """Take every step, all at once. Raises CleanupFailed that names each one that failed, and what to run."""
    ended = await asyncio.gather(*(step.take() for step in steps), return_exceptions=True)
    failed = [(step, error) for step, error in zip(steps, ended, strict=True) if isinstance(error, BaseException)]
    if not failed:
        return
    reasons: dict[str, list[str]] = {}
    commands: dict[str, list[str]] = {}
    for step, error in failed:
        reasons.setdefault(str(error) or type(error).__name__, []).append(step.what)
        commands.setdefault(step.remedy, []).append(step.subject)
    raise CleanupFailed(
        "; ".join(f"{', '.join(what)}: {reason}" for reason, what in reasons.items()),
        next_step="; ".join(" ".join([remedy, *filter(None, subjects)]) for remedy, subjects in commands.items()),
    ) from failed[0][1]
