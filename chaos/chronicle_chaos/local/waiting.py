"""Waiting for a condition, with an end and a reason."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from chronicle_chaos.errors import ChaosError
from chronicle_chaos.local.ports import LOOPBACK


class NotReady(ChaosError):
    """Something did not become ready in time."""


async def until(
    condition: Callable[[], Awaitable[bool]], what: str, *, seconds: float, check: Callable[[], None] | None = None
) -> None:
    """Ask `condition` until it is true, at most `seconds`. `check` may raise to end the wait early.

    Raises NotReady with `what`.
    """
    pause = 0.02
    try:
        async with asyncio.timeout(seconds):
            while not await condition():
                if check is not None:
                    check()
                await asyncio.sleep(pause)
                pause = min(0.25, pause * 1.5)
    except TimeoutError as error:
        raise NotReady(f"not within {seconds:g} s: {what}") from error


async def accepts(port: int, *, seconds: float = 1.0) -> bool:
    """Whether somebody accepts connections on a loopback port."""
    try:
        async with asyncio.timeout(seconds):
            _, writer = await asyncio.open_connection(LOOPBACK, port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True
